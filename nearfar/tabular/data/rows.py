"""Rows of a table as a collection; normal ones to learn from, the others to be found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch

from nearfar.sources.skipped import Skipped
from nearfar.tabular.schema import TableBatch, TableSchema, describe
from nearfar.training import Data

__all__ = ["NORMAL", "Rows", "divide"]

NORMAL = ("0", "normal", "benign", "no", "false", "inlier")
"""Labels that mean a normal row, where none is named."""


class Rows(Data):
    """Rows of a table.

    Args:
        columns: by name, (N,) numbers with NaN for gaps, or words.
        labels: one per row, or ``None``.
        ids: one per row; their numbers otherwise.
        places: (N, 2) longitude and latitude in degrees, or ``None``.
        views: further arrays (N, channels, H, W) by name.
        normal: the label of a normal row; one of :data:`NORMAL` when empty.
        name: what to call the table.
        test: held-out rows.
        skipped: what was left out.

    Raises:
        ValueError: no rows, or columns and labels of different lengths.
    """

    gives = TableBatch

    def __init__(
        self,
        columns: Mapping[str, np.ndarray],
        labels: np.ndarray | None = None,
        *,
        ids: np.ndarray | None = None,
        places: np.ndarray | None = None,
        views: Mapping[str, np.ndarray] | None = None,
        normal: str = "",
        name: str = "table",
        test: Rows | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self.columns = {key: _column(values) for key, values in columns.items()}
        self.views = {key: np.asarray(values, dtype=np.float32) for key, values in (views or {}).items()}
        given = [*self.columns.values(), *self.views.values(), *(e for e in (labels, places) if e is not None)]
        lengths = {len(values) for values in given}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError(f"{name} has columns of {sorted(lengths)} rows; all must have the same, and at least one")
        self.count = lengths.pop()
        self.labels = None if labels is None else np.asarray(labels)
        self._ids = np.arange(self.count) if ids is None else np.asarray(ids)
        self.places = np.zeros((self.count, 0)) if places is None else np.asarray(places, dtype=np.float64)
        self.normal, self.name, self.test = normal, name, test
        self.skipped = skipped or Skipped(self.count, kind="rows")

    def __len__(self) -> int:
        return self.count

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    @property
    def anomalous(self) -> np.ndarray | None:
        """(N,) bool, whether the label is not that of a normal row; ``None`` without labels."""
        if self.labels is None:
            return None
        wanted = (self.normal.lower(),) if self.normal else NORMAL
        return ~np.isin([str(label).strip().lower().removesuffix(".0") for label in self.labels], wanted)

    @cached_property
    def schema(self) -> TableSchema:
        return describe(self.columns)[0]

    @property
    def facts(self) -> Mapping[str, Any]:
        schema = self.schema if self.columns else None
        return {"schema": schema, "shapes": {name: view.shape[1] for name, view in self.views.items()}}

    def splits(self) -> Mapping[str, Data]:
        return {} if self.test is None else {"test": self.test}

    def batch(self, indices: np.ndarray) -> TableBatch:
        columns = {name: values[indices] for name, values in self.columns.items()}
        views = {name: torch.from_numpy(values[indices]) for name, values in self.views.items()}
        return TableBatch(columns, torch.from_numpy(self.places[indices]), views)

    def chosen(self, rows: np.ndarray, name: str, test: Rows | None = None) -> Rows:
        """These rows as a table of their own."""
        found = Rows(
            {key: values[rows] for key, values in self.columns.items()},
            None if self.labels is None else self.labels[rows],
            ids=self._ids[rows],
            places=self.places[rows],
            views={key: values[rows] for key, values in self.views.items()},
            normal=self.normal,
            name=name,
            test=test,
            skipped=self.skipped,
        )
        found.taken = self.taken
        return found


def divide(rows: Rows, seed: int = 0) -> Rows:
    """Half of the normal rows to learn from, the other half and all anomalies for test: the protocol of SLAD and of
    most papers on anomalies in tables. A table without labels, or with one kind of row alone, stays as it is.
    """
    anomalous = rows.anomalous
    if anomalous is None or anomalous.all() or not anomalous.any():
        return rows
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(~anomalous))
    half = len(normal) // 2
    test = rows.chosen(np.sort(np.concatenate([normal[half:], np.flatnonzero(anomalous)])), f"{rows.name} test")
    return rows.chosen(np.sort(normal[:half]), rows.name, test)


def _column(values: np.ndarray) -> np.ndarray:
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"a column must have one value per row, got shape {found.shape}")
    return found.astype(np.float64) if found.dtype.kind in "biuf" else found.astype(str)
