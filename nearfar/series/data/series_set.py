"""Series of any length with gaps, and windows of past and future, as collections."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.skipped import Skipped
from nearfar.training import Data

# Longer series are cut for training, as TS2Vec's released code does.
SECTION = 3000


class SeriesBatch(NamedTuple):
    """A batch of whole series.

    Attributes:
        values: (B, T, C) float32, NaN where nothing was measured and outside shorter series, which stand in the middle.
        inside: (B, T) bool, false outside a series.
        groups: (B, G) int64, who and what was recorded (patient, trial), -1 where unknown.
    """

    values: Tensor
    inside: Tensor
    groups: Tensor


class WindowBatch(NamedTuple):
    """A batch of windows, each a past and the future that followed it.

    Attributes:
        past: (B, I, C) float32.
        future: (B, O, C) float32.
        start: (B,) int64, the step at which the past begins in its series.
        clock: (B, I, K) float32, features of the calendar in [-0.5, 0.5]; K is 0 without dates.
    """

    past: Tensor
    future: Tensor
    start: Tensor
    clock: Tensor


class SeriesSet(Data):
    """Series, each (T, C), of unequal lengths and with gaps.

    Args:
        series: arrays (T,) or (T, C) with the same C; NaN is a gap.
        labels: one per series, or ``None``.
        ids: one per series; their numbers otherwise.
        groups: (N, G) whole numbers: patient, trial and the like; -1 where unknown.
        times: of each series the time of every step, or ``None``.
        states: of each series what was the case at every step, or ``None``.
        channels: names of the C channels.
        name: what to call the collection.
        test: held-out series.
        section: in training, series longer than twice this are cut into equal parts of at least this length.
        skipped: what was left out.

    Raises:
        ValueError: no series, or no value in any; different numbers of channels; infinite values; labels that do not
            fit.
    """

    gives = SeriesBatch

    def __init__(
        self,
        series: Sequence[np.ndarray],
        labels: np.ndarray | None = None,
        *,
        ids: np.ndarray | None = None,
        groups: np.ndarray | None = None,
        times: Sequence[np.ndarray] | None = None,
        states: Sequence[np.ndarray] | None = None,
        channels: Sequence[str] = (),
        name: str = "series",
        test: SeriesSet | None = None,
        section: int = SECTION,
        skipped: Skipped | None = None,
    ) -> None:
        self.series = [_two_dimensional(each, position) for position, each in enumerate(series)]
        if not self.series:
            raise ValueError(f"{name} holds no series")
        widths = {each.shape[1] for each in self.series}
        if len(widths) > 1:
            raise ValueError(f"the series of {name} have {sorted(widths)} channels; all must have the same number")
        self.divisible = any(len(each) > 1 for each in self.series)  # one step alone has nothing to be told from
        self.labels = None if labels is None else np.asarray(labels)
        if self.labels is not None and self.labels.shape != (len(self.series),):
            raise ValueError(f"{name} has {self.labels.size} labels for {len(self.series)} series")
        self._ids = np.arange(len(self.series)) if ids is None else np.asarray(ids)
        self.groups = np.full((len(self.series), 0), -1) if groups is None else np.asarray(groups, dtype=np.int64)
        self.times, self.states = times, states
        if states is not None and [*map(len, states)] != [*map(len, self.series)]:
            raise ValueError(f"the states of {name} must be as many as the steps of each series")
        self.channels = tuple(channels) or tuple(f"channel {i}" for i in range(widths.pop()))
        self.name, self.test = name, test
        self._check_values()
        self.skipped = skipped or Skipped(len(self.series), kind="series")
        self.sections = [
            (row, part.start, part.stop) for row, each in enumerate(self.series) for part in _cut(len(each), section)
        ]

    def _check_values(self) -> None:
        there = np.any([np.isfinite(each).any(0) for each in self.series], axis=0)
        if not there.any():
            raise ValueError(f"{self.name} holds no value: every step of every series is a gap")
        if not there.all():
            empty = ", ".join(name for name, found in zip(self.channels, there, strict=True) if not found)
            warnings.warn(f"channels {empty} of {self.name} hold no value, and tell nothing", stacklevel=4)

    def __len__(self) -> int:
        return len(self.series)

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    @property
    def facts(self) -> Mapping[str, Any]:
        """Channels, and the mean and standard deviation of each, with which a method standardises whatever it meets."""
        centre, spread = moments(np.concatenate(self.series))
        return {"in_channels": len(self.channels), "centre": centre, "spread": spread}

    def splits(self) -> Mapping[str, Data]:
        return {} if self.test is None else {"test": self.test}

    def batch(self, indices: np.ndarray) -> SeriesBatch:
        return self._collate([self.series[i] for i in indices], self.groups[indices])

    def training_batch(self, indices: np.ndarray) -> SeriesBatch:
        """Sections, by their numbers."""
        chosen = [self.sections[i] for i in indices]
        rows = np.array([row for row, _, _ in chosen], dtype=np.int64)
        return self._collate([self.series[row][start:stop] for row, start, stop in chosen], self.groups[rows])

    @property
    def epoch_size(self) -> int:
        """Of sections."""
        return len(self.sections)

    def _collate(self, series: list[np.ndarray], groups: np.ndarray) -> SeriesBatch:
        longest = max(map(len, series))
        values = np.full((len(series), longest, len(self.channels)), np.nan, dtype=np.float32)
        inside = np.zeros((len(series), longest), dtype=bool)
        for row, each in enumerate(series):
            first = (longest - len(each)) // 2
            values[row, first : first + len(each)] = each
            inside[row, first : first + len(each)] = True
        return SeriesBatch(torch.from_numpy(values), torch.from_numpy(inside), torch.from_numpy(groups))


def moments(values: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the columns, over what is there; 0 and 1 for a column that is empty or constant.

    A set that is standardised already, to three digits, keeps its values to the bit.
    """
    there = np.isfinite(values)
    count = np.maximum(there.sum(0), 1)
    filled = np.where(there, values, 0.0).astype(np.float64)
    centre = filled.sum(0) / count
    spread = np.sqrt((np.where(there, filled - centre, 0.0) ** 2).sum(0) / count)
    centre, spread = np.where(np.abs(centre) < 2e-3 * spread, 0.0, centre), np.where(spread > 1e-12, spread, 1.0)
    spread = np.where(np.abs(spread - 1) < 6e-3, 1.0, spread)
    return tuple(map(float, centre)), tuple(map(float, spread))


def _two_dimensional(values: np.ndarray, position: int) -> np.ndarray:
    found = np.asarray(values)
    if found.dtype.kind not in "biuf" or found.ndim not in (1, 2) or 0 in found.shape:
        raise ValueError(
            f"series {position} must be numbers of shape (T,) or (T, C), got {found.dtype} of {found.shape}"
        )
    found = found.astype(np.float32).reshape(len(found), -1)
    if np.isinf(found).any():
        raise ValueError(f"series {position} holds infinite values; write gaps as NaN or leave the cell empty")
    return found


def _cut(length: int, section: int) -> list[slice]:
    parts = max(length // section, 1)
    bounds = np.linspace(0, length, parts + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in zip(bounds, bounds[1:], strict=False)]


class Windows(Data):
    """Every window of one long series, for forecasters.

    The first part is for training, then validation, then test, by time; held-out windows may look back into the part
    before theirs, as is usual.

    Args:
        values: (T, C) finite.
        past: steps that are seen.
        ahead: steps that are to be told.
        clock: (T, K) features of the calendar, or ``None``.
        shares: ends of training and validation, as shares of the series in (0, 1] or as steps.
        name: what to call it.
        channels: names of the channels.

    Raises:
        ValueError: too short for one window in each part; gaps.
    """

    gives = WindowBatch

    def __init__(
        self,
        values: np.ndarray,
        *,
        past: int,
        ahead: int,
        clock: np.ndarray | None = None,
        shares: tuple[float, float, float] = (0.6, 0.8, 1.0),
        name: str = "windows",
        channels: Sequence[str] = (),
        part: int = 0,
    ) -> None:
        if past < 1 or ahead < 1:
            raise ValueError(f"past and ahead must be at least 1, got {past} and {ahead}")
        self.values = _two_dimensional(values, 0)
        if np.isnan(self.values).any():
            raise ValueError(f"{name} has gaps, which forecasters do not take; fill them first, or train ts2vec")
        ends = [0, *(round(s * len(self.values)) if s <= 1 else int(s) for s in shares)]
        if ends != sorted(ends) or ends[-1] > len(self.values):
            raise ValueError(f"the parts of {name} end at {ends[1:]}, of {len(self.values)} steps; they must rise")
        self.first = max(ends[part] - (past if part else 0), 0)
        self.stop = ends[part + 1]
        if self.stop - self.first < past + ahead:
            raise ValueError(
                f"{name} has {self.stop - self.first} steps in its part {part + 1} of 3, fewer than the "
                f"{past} + {ahead} of one window; give a longer series or a smaller past or ahead"
            )
        self.past, self.ahead, self.shares, self.part, self.name = past, ahead, shares, part, name
        self.clock = np.zeros((len(self.values), 0), np.float32) if clock is None else clock.astype(np.float32)
        self.channels = tuple(channels) or tuple(f"channel {i}" for i in range(self.values.shape[1]))
        self.training_stop = ends[1]

    def __len__(self) -> int:
        return self.stop - self.first - self.past - self.ahead + 1

    @property
    def ids(self) -> np.ndarray:
        return self.first + np.arange(len(self))

    @property
    def training_values(self) -> np.ndarray:
        """(T, C), the part for training."""
        return self.values[: self.training_stop]

    @property
    def facts(self) -> Mapping[str, Any]:
        centre, spread = moments(self.training_values)
        return {
            "in_channels": self.values.shape[1],
            "centre": centre,
            "spread": spread,
            "window": self.past,
            "horizon": self.ahead,
            "clock": self.clock.shape[1],
        }

    def splits(self) -> Mapping[str, Data]:
        if self.part:
            return {}
        options = {"past": self.past, "ahead": self.ahead, "clock": self.clock, "shares": self.shares}
        names = ("validation", "test")
        return {
            name: Windows(self.values, **options, name=f"{self.name} {name}", channels=self.channels, part=part)  # type: ignore[arg-type]
            for part, name in enumerate(names, 1)
        }

    def batch(self, indices: np.ndarray) -> WindowBatch:
        start = self.first + np.asarray(indices, dtype=np.int64)
        seen = start[:, None] + np.arange(self.past)
        told = start[:, None] + self.past + np.arange(self.ahead)
        tensors = (self.values[seen], self.values[told], start - self.first, self.clock[seen])
        return WindowBatch(*(torch.from_numpy(np.ascontiguousarray(each)) for each in tensors))
