"""What a system knows of a table: its columns, and how a row becomes numbers. It is kept with the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["TableBatch", "TableSchema", "describe"]

# A column of words with more different ones than this, and of more than a tenth of the rows, says nothing of new rows.
MOST_CATEGORIES = 100


class TableBatch(NamedTuple):
    """Rows of a table.

    Attributes:
        columns: by name, (B,) numbers with NaN for gaps, or words with an empty one for gaps.
        places: (B, 2) float64, longitude and latitude in degrees where the table has them; (B, 0) otherwise.
        views: further arrays of each row by name, float32: ``images`` and ``counts`` (B, channels, H, W).
    """

    columns: Mapping[str, np.ndarray]
    places: Tensor
    views: Mapping[str, Tensor]


@dataclass(frozen=True)
class TableSchema:
    """Columns of a table and their statistics over the rows of training.

    Args:
        numbers: names of the columns of numbers.
        gaps: those that had gaps; each has a feature that says where.
        words: names of the columns of categories.
        categories: of each column of categories, the words that occurred; any other word is none of them.
        fill: of each column of numbers, its median, which stands in a gap.
        low, high: of every feature, the range.
        centre, spread: of every feature, mean and standard deviation.
    """

    numbers: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    categories: tuple[tuple[str, ...], ...] = ()
    fill: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):  # a file gives lists
            value = getattr(self, each.name)
            made = tuple(tuple(v) if isinstance(v, list | tuple) else v for v in value)
            object.__setattr__(self, each.name, made)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row must have."""
        return (*self.numbers, *self.words)

    @property
    def owners(self) -> tuple[int, ...]:
        """Of every feature the position of its column among :attr:`columns`."""
        gaps = [self.numbers.index(name) for name in self.gaps]
        first = len(self.numbers)
        return (
            *range(first),
            *gaps,
            *(first + i for i, found in enumerate(self.categories) for _ in found),
        )

    @property
    def features(self) -> int:
        return len(self.numbers) + len(self.gaps) + sum(map(len, self.categories))

    def encode(self, columns: Mapping[str, np.ndarray], scale: Literal["range", "standard", "none"]) -> Tensor:
        """Rows as (B, F) float32: numbers, where they had gaps, a one for each word.

        Args:
            columns: as :attr:`TableBatch.columns`; further columns are not looked at.
            scale: ``range`` brings the range of training to [0, 1]; ``standard`` its mean and deviation to 0 and 1.

        Raises:
            ValueError: a column is missing, or holds words where numbers were.
        """
        missing = [name for name in self.columns if name not in columns]
        if missing:
            raise ValueError(
                f"the table has no column {missing[0]!r}, which this system learned from; it has {', '.join(columns)}"
            )
        columns = {name: _array(columns[name]) for name in self.columns}
        parts = []
        for name, fill in zip(self.numbers, self.fill, strict=True):
            values = columns[name]
            if values.dtype.kind not in "biuf":
                raise ValueError(
                    f"column {name!r} held numbers in training, and holds words like {str(values[0])!r} now"
                )
            parts.append(np.where(np.isnan(values), fill, values))
        parts += [np.isnan(columns[name]).astype(np.float64) for name in self.gaps]
        for name, found in zip(self.words, self.categories, strict=True):
            values = _as_words(columns[name])
            parts += [(values == word).astype(np.float64) for word in found]
        x = np.stack(parts, 1)
        if scale == "range":
            x = _scaled(x, np.array(self.low), np.array(self.high) - np.array(self.low))
        elif scale == "standard":
            x = _scaled(x, np.array(self.centre), np.array(self.spread))
        return torch.from_numpy(np.clip(x, -1e6, 1e6).astype(np.float32))


def _scaled(x: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """A feature that was constant keeps its distance from that constant."""
    return (x - centre) / np.where(spread > 1e-12, spread, 1.0)


def _array(values: np.ndarray | Tensor) -> np.ndarray:
    """A column as the collection keeps it; on its way to a device numbers become tensors."""
    return values.cpu().numpy() if isinstance(values, Tensor) else values


def _as_words(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "U":
        return values
    return np.array([f"{value:g}" if np.isfinite(value) else "" for value in values])


def describe(columns: Mapping[str, np.ndarray]) -> tuple[TableSchema, list[str]]:
    """The schema of these rows, and the names of columns that are left out: words that hardly recur, and empty ones."""
    names: dict[str, list[Any]] = {"numbers": [], "gaps": [], "words": [], "categories": [], "fill": []}
    left_out = []
    for name, values in columns.items():
        if values.dtype.kind in "biuf":
            there = values[~np.isnan(values)]
            if not len(there):
                left_out.append(name)
                continue
            names["numbers"].append(name)
            names["fill"].append(float(np.median(there)))
            if len(there) < len(values):
                names["gaps"].append(name)
            continue
        found = sorted(set(values.tolist()))
        if len(found) > MOST_CATEGORIES and len(found) > len(values) / 10:
            left_out.append(name)
            continue
        names["words"].append(name)
        names["categories"].append(tuple(found))
    if not names["numbers"] and not names["words"]:
        raise ValueError("no column can be learned from; numbers, or words that recur, are needed")
    schema = TableSchema(**{name: tuple(values) for name, values in names.items()})
    x = schema.encode(columns, "none").numpy().astype(np.float64)
    found_statistics = {"low": x.min(0), "high": x.max(0), "centre": x.mean(0), "spread": x.std(0)}
    statistics: dict[str, Any] = {name: tuple(map(float, values)) for name, values in found_statistics.items()}
    return replace(schema, **statistics), left_out
