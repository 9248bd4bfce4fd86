"""Images as patches, and which of them are hidden: what masked pre-training shares."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from nearfar.common.share import for_examples


class Masking(NamedTuple):
    """Which of L patches of each of N images are seen.

    ``kept``: their positions (N, K) int64. ``hidden``: (N, L) bool, true for the other L - K.
    """

    kept: Tensor
    hidden: Tensor


def patchify(images: Tensor, patch: int) -> Tensor:
    """Images (N, C, H, W) as patches (N, L, patch * patch * C), row by row; within one: row, column, channel.

    Raises:
        ValueError: sides that are not divisible by ``patch``.
    """
    n, channels, height, width = images.shape
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"images of {height}x{width} pixels are not whole patches of {patch}")
    grid = images.reshape(n, channels, height // patch, patch, width // patch, patch)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, patch * patch * channels)


def unpatchify(patches: Tensor, patch: int, height: int, width: int) -> Tensor:
    """Patches (N, L, patch * patch * C) back as images (N, C, height, width): the inverse of :func:`patchify`."""
    n, channels = len(patches), patches.shape[2] // patch**2
    grid = patches.reshape(n, height // patch, width // patch, patch, patch, channels)
    return grid.permute(0, 5, 1, 3, 2, 4).reshape(n, channels, height, width)


def random_masking(count: int, length: int, ratio: float, generator: torch.Generator | None = None) -> Masking:
    """For each of ``count`` images a random ``ratio`` of its ``length`` patches hidden, on the generator's device.

    ``int(length * (1 - ratio))`` patches are seen, as in the released MAE code, in random order.

    Raises:
        ValueError: a ratio outside (0, 1), or one that hides or shows all patches of a grid so small.
    """
    seen = int(length * (1 - ratio)) if 0 < ratio < 1 else 0
    if not 0 < seen < length:
        raise ValueError(
            f"a mask must show some and hide some of {length} patches, and a ratio of {ratio} shows {seen}: the ratio "
            "must be in (0, 1), and small grids need one farther from its ends"
        )
    return random_masking_of(count, length, seen, generator)


def random_masking_of(count: int, length: int, seen: int, generator: torch.Generator | None = None) -> Masking:
    """For each of ``count`` images ``seen`` of its ``length`` patches, drawn at random, on the generator's device."""
    device = None if generator is None else generator.device
    keys = for_examples(lambda n: torch.rand(n, length, generator=generator, device=device), count)
    kept = keys.argsort(1)[:, :seen]
    return masking_of(kept, length)


def masking_of(kept: Tensor, length: int) -> Masking:
    """The masking that shows the positions (N, K) of ``length`` patches."""
    hidden = torch.ones(len(kept), length, dtype=torch.bool, device=kept.device)
    return Masking(kept, hidden.scatter(1, kept, False))


def take(tokens: Tensor, positions: Tensor) -> Tensor:
    """The tokens (N, K, C) at ``positions`` (N, K) of (N, L, C)."""
    return tokens.gather(1, positions[..., None].expand(-1, -1, tokens.shape[2]))


def fill(tokens: Tensor, kept: Tensor, length: int, filler: Tensor) -> Tensor:
    """Tokens (N, K, C) put at their positions ``kept`` (N, K) among ``length``, and ``filler`` (C,) at the others."""
    whole = filler.to(tokens.dtype).expand(len(tokens), length, -1)
    return whole.scatter(1, kept[..., None].expand(-1, -1, tokens.shape[2]), tokens)


def block_hidden(
    count: int,
    grid: tuple[int, int],
    ratio: float,
    generator: torch.Generator,
    *,
    least: float = 0.2,
    aspect: float = 0.3,
    attempts: int = 16,
) -> Tensor:
    """Which patches are hidden (count, rows * columns) bool: rectangles, until about ``ratio`` of them is (BEiT).

    Rectangles of random size and shape are laid one after another, each only where it hides something more and no more
    than is left to hide; then single patches, so that every picture has as many hidden as the next.

    Args:
        count: pictures.
        grid: rows and columns of patches.
        ratio: share of the patches to hide, in (0, 1).
        generator: decides, on its device.
        least: smallest area of a rectangle over that of all that is hidden; BEiT has 16 of 75.
        aspect: height over width is between this and its inverse.
        attempts: rectangles that are tried.

    Raises:
        ValueError: a ratio that hides nothing or everything.
    """
    rows, columns = grid
    length, device = rows * columns, generator.device
    target = round(length * ratio) if 0 < ratio < 1 else 0
    if not 0 < target < length:
        raise ValueError(f"a ratio in (0, 1) that hides some of {length} patches and not all is needed, got {ratio}")
    drawn = for_examples(lambda n: torch.rand(n, attempts, 4, generator=generator, device=device), count)
    order = for_examples(lambda n: torch.rand(n, length, generator=generator, device=device), count)
    hidden = torch.zeros(count, rows, columns, dtype=torch.bool, device=device)
    row, column = torch.arange(rows, device=device)[:, None], torch.arange(columns, device=device)
    for size, shape, top, left in drawn.permute(1, 2, 0)[..., None, None]:
        remaining = target - hidden.sum((1, 2), keepdim=True)
        smallest = max(1.0, least * target)
        area = smallest + size * (remaining - smallest).clamp_min(0)
        ratio_of_sides = torch.exp((2 * shape - 1) * -math.log(aspect))
        height = (area * ratio_of_sides).sqrt().round().clamp(1, rows)
        width = (area / ratio_of_sides).sqrt().round().clamp(1, columns)
        first_row, first_column = (top * (rows - height + 1)).floor(), (left * (columns - width + 1)).floor()
        inside = (row >= first_row) & (row < first_row + height)
        inside = inside & (column >= first_column) & (column < first_column + width)
        both = hidden | inside
        hidden = torch.where(both.sum((1, 2), keepdim=True) <= target, both, hidden)
    chosen = (order + hidden.flatten(1).float()).topk(target, dim=1).indices
    return torch.zeros(count, length, dtype=torch.bool, device=device).scatter(1, chosen, True)
