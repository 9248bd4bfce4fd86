"""Views of series: overlapping crops, masks in time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Crops", "binomial_mask", "continuous_mask", "overlapping_crops", "rows_from"]


class Crops(NamedTuple):
    """Two crops of every series, and how many steps they share: the last of the first, the first of the second."""

    first: Tensor
    second: Tensor
    shared: int


def rows_from(values: Tensor, start: Tensor, length: int) -> Tensor:
    """From each row b of (B, T, ...) the ``length`` steps from ``start[b]`` on."""
    steps = start[:, None] + torch.arange(length, device=values.device)
    return values[torch.arange(len(values), device=values.device)[:, None], steps]


def overlapping_crops(values: Tensor, *, shortest: int = 2, generator: torch.Generator | None = None) -> Crops:
    r"""TS2Vec's two crops of a batch: they share a segment, and each goes on beyond it on its own side.

    The shared length is uniform in [``shortest``, T], its place uniform, the first crop begins anywhere before it and
    the second ends anywhere after it; all series have the same lengths, each shifted by an amount of its own.

    Args:
        values: (B, T, C).
        shortest: of the shared lengths; T where that is less.
        generator: source of the numbers.
    """
    steps = values.shape[1]

    def draw(low: int, high: int, size: tuple[int, ...] = ()) -> Tensor:
        return torch.randint(low, high + 1, size, generator=generator, device=values.device)

    shared = int(draw(min(shortest, steps), steps))
    left = int(draw(0, steps - shared))
    right = left + shared
    begin, end = int(draw(0, left)), int(draw(right, steps))
    shift = draw(-begin, steps - end, (len(values),))
    return Crops(rows_from(values, shift + begin, right - begin), rows_from(values, shift + left, end - left), shared)


def binomial_mask(batch: int, steps: int, *, p: float = 0.5, generator: torch.Generator | None = None) -> Tensor:
    """(B, T) bool: each step is shown with probability ``p``."""
    device = generator.device if generator is not None else None
    return torch.rand(batch, steps, generator=generator, device=device) < p


def continuous_mask(
    batch: int, steps: int, *, spans: int = 5, length: float = 0.1, generator: torch.Generator | None = None
) -> Tensor:
    """(B, T) bool: in each row ``spans`` stretches of a share ``length`` of the steps, at random places, are hidden."""
    device = generator.device if generator is not None else None
    size = max(int(length * steps), 1)
    count = max(min(spans, steps // 2), 1)
    start = torch.randint(0, steps - size + 1, (batch, count, 1), generator=generator, device=device)
    step = torch.arange(steps, device=device)
    return ~((step >= start) & (step < start + size)).any(1)
