"""Generated series, each with what a good representation must find."""

from __future__ import annotations

import numpy as np

from nearfar.series.data.series_set import SeriesSet

__all__ = ["rhythms"]

PERIODS = (8.0, 10.0, 12.5, 16.0)


def rhythms(count: int = 160, *, steps: int = 128, held_out: int = 200, seed: int = 0) -> SeriesSet:
    """Four classes that differ in the period of an oscillation alone, 8 to 16 steps.

    Its phase is random and wanders, its period varies by 4% within a class, and noise of nine tenths of its amplitude
    and a drift lie over it: distances between raw series say little, and an untrained network separates some of it.

    Args:
        count: number of series for training, at least 8.
        steps: length of each, at least 32.
        held_out: number of series for test.
        seed: equal arguments give equal series.
    """
    if count < 8 or steps < 32:
        raise ValueError(f"rhythms needs at least 8 series of 32 steps, got {count} of {steps}")
    rng = np.random.default_rng(seed)
    test = SeriesSet(*_draw_rhythms(held_out, steps, rng), name="rhythms test")
    return SeriesSet(*_draw_rhythms(count, steps, rng), name="rhythms", test=test)


def _draw_rhythms(count: int, steps: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    labels = np.arange(count) % len(PERIODS)
    rng.shuffle(labels)
    t = np.arange(steps)
    series = []
    for label in labels:
        period = PERIODS[label] * rng.uniform(0.96, 1.04)
        wandering = rng.uniform(0, 2 * np.pi) + 0.05 * np.cumsum(rng.normal(size=steps))
        x = np.sin(2 * np.pi * t / period + wandering) + 0.9 * rng.normal(size=steps)
        x += 0.08 * np.cumsum(rng.normal(size=steps))
        series.append((x - x.mean()) / x.std())
    return series, labels
