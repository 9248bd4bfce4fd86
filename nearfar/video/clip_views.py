"""Clips (B, C, T, H, W): cut from videos, varied alike in all frames, and changed so that a change can be told."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.vision.views import Draws, Recipe, apply

__all__ = ["cut", "recoloured", "residual_frames", "reversed_blocks", "starts", "swapped_chunks", "turned"]


def cut(frames: Tensor, start: Tensor, length: int) -> Tensor:
    """(B, length, H, W, 3) from videos (B, T, H, W, 3), each from its ``start`` (B,) on."""
    place = start[:, None] + torch.arange(length, device=frames.device)
    return frames[torch.arange(len(frames), device=frames.device)[:, None], place]


def recoloured(clips: Tensor, recipe: Recipe, generator: torch.Generator | None = None) -> Tensor:
    """Random views (B, 3, T, S, S) in [0, 1] of clips (B, T, H, W, 3) uint8: one draw for all frames of a clip.

    Without a generator every frame is shown whole, at the recipe's size.
    """
    b, t, height, width, _ = clips.shape
    if generator is None:
        recipe = Recipe(size=recipe.size, scale=None)
    drawn = recipe.draw(b, height, width, generator or torch.Generator(clips.device))
    of_frames: dict[str, Any] = {}
    for each in dataclasses.fields(drawn):
        part = getattr(drawn, each.name)
        of_frames[each.name] = None if part is None else part.repeat_interleave(t, 0)
    pictures = clips.flatten(0, 1).permute(0, 3, 1, 2)
    views = apply(pictures, Draws(**of_frames), recipe.output_size(height, width))
    return views.unflatten(0, (b, t)).transpose(1, 2).contiguous()


def residual_frames(clips: Tensor, *, wrap: bool = False) -> Tensor:
    """What every frame takes away from the one before it, ``x[t - 1] - x[t]``: (B, C, T - 1, H, W).

    With ``wrap`` there are T, the first being the last frame minus the first one, as released.
    """
    if wrap:
        return clips.roll(1, 2) - clips
    return clips[:, :, :-1] - clips[:, :, 1:]


def turned(clips: Tensor, quarters: int) -> Tensor:
    """Turned in the plane by so many quarters, counter-clockwise."""
    return torch.rot90(clips, quarters, (3, 4))


def reversed_blocks(clips: Tensor) -> Tensor:
    """The four quarters of every frame in the opposite order: what was above left is below right."""
    height, width = clips.shape[3] // 2, clips.shape[4] // 2
    above, below = clips.split([height, clips.shape[3] - height], 3)
    rows = [torch.cat(half.split([width, clips.shape[4] - width], 4)[::-1], 4) for half in (below, above)]
    return torch.cat(rows, 3)


def swapped_chunks(clips: Tensor, first: int, second: int) -> Tensor:
    """Two of the four parts of time exchanged."""
    chunks = list(clips.tensor_split(4, 2))
    chunks[first], chunks[second] = chunks[second], chunks[first]
    return torch.cat(chunks, 2)


def starts(
    examples: int, times: int, length: int, stride: int, remote: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Where three clips ``stride`` apart begin, (B,); where one far from the middle clip begins; whether there is one.

    Raises:
        ValueError: the videos are too short for three clips.
    """
    last = times - length - 2 * stride
    if last < 0:
        raise ValueError(
            f"videos have {times} frames; three clips of {length} frames, {stride} apart, need {length + 2 * stride}"
        )
    device = generator.device
    first = for_examples(lambda n: torch.randint(last + 1, (n,), device=device, generator=generator), examples)
    places = torch.arange(times - length + 1, device=device)
    far = (places - first[:, None] - stride).abs() >= remote
    drawn = for_examples(lambda n: torch.rand(n, len(places), device=device, generator=generator), examples)
    return first, (drawn * far).argmax(1), far.any(1)
