"""Collections of rows with several modalities, some cells missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from nearfar.multimodal.tuples import KINDS, Kind, Modalities, TupleBatch
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.training import Data

__all__ = ["Column", "Tuples"]


@dataclass(frozen=True)
class Column:
    """The cells of one modality.

    Attributes:
        kind: what they are.
        values: pictures (N, H, W, 3) uint8, waves (N, L) int16, N strings, or numbers (N, F) with NaN for gaps.
        present: (N,) bool, whether the cell is there; all are when not given.
    """

    kind: Kind
    values: Any
    present: np.ndarray | None = None

    @property
    def here(self) -> np.ndarray:
        return np.ones(len(self.values), dtype=bool) if self.present is None else self.present


class Tuples(Data):
    """Rows with a cell for each modality; cells may be missing, of a row at most all but one.

    Args:
        columns: the modalities by name, in their order.
        labels: one per row, or ``None``; used for evaluation.
        name: what to call the set.
        splits: held-out sets by name.
        rate: samples per second of sounds.
        skipped: what the source of the rows held besides.
        notes: what was chosen in reading, for people.

    Raises:
        ValueError: columns of different lengths, of no rows or of an unknown kind, or one that is missing everywhere.
    """

    gives = TupleBatch

    def __init__(
        self,
        columns: Mapping[str, Column],
        labels: np.ndarray | None = None,
        *,
        name: str = "rows",
        splits: Mapping[str, Data] | None = None,
        rate: int = 16000,
        skipped: Skipped | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        lengths = {key: len(column.values) for key, column in columns.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ValueError(f"{name} has modalities of {lengths} rows; all must have the same, and at least one")
        for key, column in columns.items():
            if column.kind not in KINDS:
                raise ValueError(f"{key} is of kind {column.kind!r}; accepted are {', '.join(KINDS)}")
            if not column.here.any():
                raise ValueError(f"{name} has no row with {key}; leave it out of --modalities")
        self.columns, self.name, self.rate = dict(columns), name, rate
        self.labels = None if labels is None else np.asarray(labels)
        if self.labels is not None and len(self.labels) != len(self):
            raise ValueError(f"labels has {len(self.labels)} entries for {len(self)} rows")
        self.skipped = skipped or Skipped(len(self), kind="rows")
        self.notes = [*notes]
        self._splits = dict(splits or {})
        self._filled = {key: _filled(column.here) for key, column in self.columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).values)

    def batch(self, indices: np.ndarray) -> TupleBatch:
        cells: dict[str, Any] = {}
        for name, column in self.columns.items():
            rows = self._filled[name][indices]
            if column.kind == "text":
                cells[name] = [column.values[row] for row in rows]
            elif column.kind == "picture":
                cells[name] = torch.from_numpy(column.values[rows]).permute(0, 3, 1, 2)
            elif column.kind == "sound":
                cells[name] = torch.from_numpy(column.values[rows].astype(np.float32) / 32768)
            else:
                cells[name] = torch.from_numpy(column.values[rows].astype(np.float32))
        present = np.stack([column.here[indices] for column in self.columns.values()], 1)
        return TupleBatch(cells, torch.from_numpy(present), torch.as_tensor(indices))

    @cached_property
    def modalities(self) -> Modalities:
        """The modalities, with the statistics of their numbers over the rows that have them."""
        centres, spreads = [], []
        for column in self.columns.values():
            if column.kind != "numbers":
                centres.append(())
                spreads.append(())
                continue
            x = np.asarray(column.values, dtype=np.float64)[column.here]
            empty = np.isnan(x).all(0)
            x = np.where(empty, 0.0, x)
            centres.append(tuple(np.nanmean(x, 0).tolist()))
            spreads.append(tuple(np.nanstd(x, 0).tolist()))
        kinds = tuple(column.kind for column in self.columns.values())
        return Modalities(tuple(self.columns), kinds, tuple(centres), tuple(spreads), self.rate)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"schema": self.modalities, "rows": len(self)}

    def groups(self, name: str) -> np.ndarray:
        """(N,) numbers, equal where the cells of a modality are; missing cells are each their own."""
        column = self.columns[name]
        numbers: dict[str, int] = {}
        found = np.empty(len(self), np.int64)
        for row, (here, value) in enumerate(zip(column.here, column.values, strict=True)):
            key = digest_of(value) if here else f"missing {row}"
            found[row] = numbers.setdefault(key, len(numbers))
        return found

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        found = {name: digest_of(column.here, column.values) for name, column in self.columns.items()}
        return found if self.labels is None else {**found, "labels": digest_of(self.labels)}

    def chosen(self, rows: np.ndarray, name: str) -> Tuples:
        """These rows as a collection of their own."""
        columns = {}
        for key, column in self.columns.items():
            values = [column.values[i] for i in rows] if column.kind == "text" else column.values[rows]
            columns[key] = Column(column.kind, values, column.here[rows])
        labels = None if self.labels is None else self.labels[rows]
        return Tuples(columns, labels, name=name, rate=self.rate)


def _filled(here: np.ndarray) -> np.ndarray:
    """For each row the next one whose cell is there, its own where it is."""
    places = np.flatnonzero(here)
    return places[np.searchsorted(places, np.arange(len(here))) % len(places)]
