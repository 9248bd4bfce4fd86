"""Stretches of sounds: drawn at random for training, one after another for encoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from nearfar.audio.data.sounds import SoundBatch
from nearfar.common.share import for_examples

__all__ = ["Fill", "random_segments", "unit_energy", "windows"]

Fill = Literal["silence", "repeat"]


def random_segments(
    waves: Tensor, lengths: Tensor, samples: int, generator: torch.Generator, *, fill: Fill = "silence"
) -> Tensor:
    """A stretch (N, samples) from a random place of each sound.

    Args:
        waves: (N, T), of which ``lengths`` (N,) samples each are the sound.
        samples: length of a stretch, at least 1.
        generator: draws where each begins.
        fill: what makes up for shorter sounds: ``silence`` on both sides, or the sound again (``repeat``).
    """
    room = (lengths - samples).clamp_min(0)
    drawn = for_examples(lambda n: torch.rand(n, generator=generator, device=waves.device), len(waves))
    return _cut(waves, lengths, (drawn * (room + 1)).long().clamp(max=room), samples, fill)


def windows(
    batch: SoundBatch, samples: int, *, fill: Fill = "silence", most: int = 256
) -> Iterator[tuple[Tensor, Tensor]]:
    """Whole sounds as stretches (W, samples) with the sound (W,) that each is of, at most ``most`` at a time.

    Those of a sound of T samples are ceil(T / samples), evenly spaced from its beginning to its end. They depend on
    nothing else in the batch.
    """
    device = batch.waves.device
    counts = (batch.lengths + samples - 1).div(samples, rounding_mode="floor").clamp_min(1)
    of = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
    first = counts.cumsum(0) - counts
    number = torch.arange(len(of), device=device) - first[of]
    room = (batch.lengths - samples).clamp_min(0)[of]
    starts = (number * room).div((counts[of] - 1).clamp_min(1), rounding_mode="floor")
    for part in torch.arange(len(of), device=device).split(most):
        rows = of[part]
        yield _cut(batch.waves[rows], batch.lengths[rows], starts[part], samples, fill), rows


def _cut(waves: Tensor, lengths: Tensor, starts: Tensor, samples: int, fill: Fill) -> Tensor:
    place = torch.arange(samples, device=waves.device)
    if fill == "repeat":
        return waves.gather(1, (starts[:, None] + place) % lengths[:, None])
    missing = (samples - lengths).clamp_min(0)
    index = starts[:, None] + place - (missing // 2)[:, None]
    inside = (index >= 0) & (index < lengths[:, None])
    return waves.gather(1, index.clamp(0, waves.shape[1] - 1)) * inside


def unit_energy(waves: Tensor) -> Tensor:
    """Waves (N, T) whose squares sum to 1 over each sound."""
    return waves / torch.linalg.vector_norm(waves, dim=1, keepdim=True).clamp_min(1e-6)
