"""Random shifts and crops of pictures: one offset for each example, shared by all of its frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_at(pixels: Tensor, rows: Tensor, columns: Tensor, size: int) -> Tensor:
    """The (size, size) window of each picture (B, C, H, W) whose upper left corner is at ``rows``, ``columns`` (B,)."""
    if pixels.ndim != 4 or size > min(pixels.shape[-2:]):
        raise ValueError(f"a crop of {size} needs pictures (B, C, H, W) at least as large, got {tuple(pixels.shape)}")
    span = torch.arange(size, device=pixels.device)
    each = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    # Channels last while it indexes, so that a window's pixels are taken together.
    found = pixels.permute(0, 2, 3, 1)[each, (rows[:, None] + span)[:, :, None], (columns[:, None] + span)[:, None]]
    return found.permute(0, 3, 1, 2)


def shift(pixels: Tensor, pad: int = 4, generator: torch.Generator | None = None) -> Tensor:
    """Pictures moved by up to ``pad`` pixels each way, their edges repeated (DrQ, arXiv 2004.13649).

    Args:
        pixels: (B, C, H, W) of one side, any dtype.
        pad: largest shift, at least 0.
        generator: draws the offsets, one for each picture, all of 0 .. 2 ``pad`` equally likely.
    """
    if pixels.ndim != 4 or pixels.shape[-1] != pixels.shape[-2]:
        raise ValueError(f"pictures must be square (B, C, H, H), got {tuple(pixels.shape)}")
    offsets = torch.randint(2 * pad + 1, (2, len(pixels)), generator=generator, device=pixels.device)
    return shift_by(pixels, offsets[0], offsets[1], pad)


def shift_by(pixels: Tensor, rows: Tensor, columns: Tensor, pad: int) -> Tensor:
    """:func:`shift` by given offsets (B,); ``pad`` both ways leaves a picture as it is."""
    size = pixels.shape[-1]
    # Replication padding has no integer kernel; indexing does the same.
    at = torch.arange(-pad, size + pad, device=pixels.device).clamp(0, size - 1)
    return crop_at(pixels[:, :, at][:, :, :, at], rows, columns, size)


def random_crop(pixels: Tensor, size: int, generator: torch.Generator | None = None) -> Tensor:
    """Windows of (size, size), each at an offset of 0 .. H - size - 1, as the released CURL draws them: the last
    possible offset never comes up, except where there is no other."""
    room = max(pixels.shape[-1] - size, 1)
    offsets = torch.randint(room, (2, len(pixels)), generator=generator, device=pixels.device)
    return crop_at(pixels, offsets[0], offsets[1], size)


def centre_crop(pixels: Tensor, size: int) -> Tensor:
    """The (size, size) window in the middle."""
    top, left = ((side - size) // 2 for side in pixels.shape[-2:])
    return pixels[..., top : top + size, left : left + size]


def resize(pixels: Tensor, size: int) -> Tensor:
    """Pictures scaled to (size, size) by averaging, as uint8."""
    return F.adaptive_avg_pool2d(pixels.float(), size).round().to(torch.uint8)
