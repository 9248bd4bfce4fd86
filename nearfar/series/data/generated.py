"""Generated series, each with what a good representation must find."""

from __future__ import annotations

import numpy as np

from nearfar.series.data.series_set import SeriesSet, Windows

__all__ = ["patients", "rhythms", "seasons", "states"]

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


def states(count: int = 24, *, steps: int = 1200, held_out: int = 12, seed: int = 0) -> SeriesSet:
    """Three channels that pass through four hidden states: slow, oscillating, chaotic, white.

    Every state keeps a mean of 0 and a variance of 1, so that only the order of the values tells which it is. A state
    lasts 100 to 300 steps; :attr:`SeriesSet.states` says at every step which it is.

    Args:
        count: number of series for training, at least 2.
        steps: length of each, at least 300.
        held_out: number of series for test.
        seed: equal arguments give equal series.
    """
    if count < 2 or steps < 300:
        raise ValueError(f"states needs at least 2 series of 300 steps, got {count} of {steps}")
    rng = np.random.default_rng(seed)
    test, truth = _draw_states(held_out, steps, rng)
    held = SeriesSet(test, name="states test", states=truth)
    series, truth = _draw_states(count, steps, rng)
    return SeriesSet(series, name="states", test=held, states=truth)


def _draw_states(count: int, steps: int, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    series, truth = [], []
    for _ in range(count):
        parts: list[np.ndarray] = []
        names: list[np.ndarray] = []
        state = int(rng.integers(4))
        while sum(len(each) for each in names) < steps:
            length = int(rng.integers(100, 300))
            parts.append(_of_state(state, length, rng))
            names.append(np.full(length, state))
            state = (state + int(rng.integers(1, 4))) % 4
        x = np.concatenate(parts)[:steps] + 0.3 * rng.normal(size=(steps, 3))
        series.append(x)
        truth.append(np.concatenate(names)[:steps])
    return series, truth


def _of_state(state: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """(length, 3) of mean 0 and variance 1."""
    noise = rng.normal(size=(length + 100, 3))
    x = noise.copy()
    if state == 0:
        for t in range(1, len(x)):
            x[t] = 0.95 * x[t - 1] + noise[t]
    elif state == 1:
        for t in range(2, len(x)):
            x[t] = 1.7 * x[t - 1] - 0.9 * x[t - 2] + noise[t]
    elif state == 2:
        x[0] = rng.uniform(0.1, 0.9, 3)
        for t in range(1, len(x)):
            x[t] = 3.9 * x[t - 1] * (1 - x[t - 1])
    x = x[100:]
    return (x - x.mean(0)) / x.std(0)


def patients(count: int = 18, *, steps: int = 96, held_out: int = 10, seed: int = 0) -> SeriesSet:
    """Recordings of patients of two classes: four channels, six trials a patient, nine overlapping segments a trial.

    The class sets the strength of a slow rhythm in two of the channels; a patient has a spectrum of their own, a trial
    its gain and noise, and one segment in six an artefact. :attr:`SeriesSet.groups` are patient and trial. Test
    patients are others than those of training.

    Args:
        count: patients for training, at least 4.
        steps: length of a segment, at least 32 and even.
        held_out: patients for test.
        seed: equal arguments give equal recordings.
    """
    if count < 4 or steps < 32 or steps % 2:
        raise ValueError(f"patients needs at least 4 patients and an even 32 steps, got {count} and {steps}")
    rng = np.random.default_rng(seed)
    held = _draw_patients(held_out, steps, rng, first=count)
    test = SeriesSet(held[0], held[1], groups=held[2], name="patients test")
    series, labels, groups = _draw_patients(count, steps, rng, first=0)
    return SeriesSet(series, labels, groups=groups, name="patients", test=test)


def _draw_patients(
    count: int, steps: int, rng: np.random.Generator, *, first: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    series, labels, groups = [], [], []
    length = steps * 5
    t = np.arange(length)
    for patient in range(first, first + count):
        label = patient % 2
        frequencies, strength = rng.uniform(0.05, 0.3, (3, 4)), rng.uniform(0.2, 0.7, (3, 4))
        for trial in range(6):
            phase = rng.uniform(0, 2 * np.pi, (3, 4))
            x = (strength[:, None] * np.sin(2 * np.pi * frequencies[:, None] * t[:, None] + phase[:, None])).sum(0)
            slow = np.sin(2 * np.pi * t / rng.uniform(28, 36) + rng.uniform(0, 2 * np.pi))
            x[:, :2] += (0.9 if label else 0.35) * slow[:, None] * rng.uniform(0.8, 1.2)
            x = rng.uniform(0.7, 1.4) * (x + rng.uniform(0.4, 0.9) * rng.normal(size=x.shape))
            for start in range(0, length - steps + 1, steps // 2):
                segment = x[start : start + steps].copy()
                if rng.random() < 1 / 6:
                    place = rng.integers(0, steps - 8)
                    segment[place : place + 8, rng.integers(4)] += rng.normal() * 4
                series.append(segment)
                labels.append(label)
                groups.append((patient, 6 * patient + trial))
    return series, np.array(labels), np.array(groups)


def seasons(steps: int = 3000, *, past: int = 48, ahead: int = 96, period: int = 384, seed: int = 0) -> Windows:
    """One series of a short and a long season, the long one eight windows long, as windows for forecasters.

    Args:
        steps: length of the series.
        past, ahead: of a window.
        period: of the long season; the short one is 24 steps.
        seed: equal arguments give equal series.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    noise = np.zeros(steps)
    for i in range(1, steps):
        noise[i] = 0.6 * noise[i - 1] + 0.25 * rng.normal()
    long = np.sin(2 * np.pi * t / period)
    x = 1.2 * long + np.sin(2 * np.pi * t / 24) * (1 + 0.4 * np.roll(long, period // 4)) + noise
    return Windows(x, past=past, ahead=ahead, name="seasons")
