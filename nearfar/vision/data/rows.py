"""Pictures in columns of parquet files, of which there are more than memory holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nearfar.sources.fingerprint import file_contents
from nearfar.sources.order import mixed
from nearfar.sources.parquet import RowGroups
from nearfar.sources.skipped import BadDataError, Skipped
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError
from nearfar.vision.data.deep import AS_THEY_ARE, Shown
from nearfar.vision.data.encoded import EncodedPictures

__all__ = ["ParquetPictures"]


class ParquetPictures(EncodedPictures):
    """A column of encoded pictures in one parquet file or thousands, read in place.

    A row is had by unpacking its row group, and 256 MB of those are kept. So an epoch goes through the groups in a
    random order and mixes the rows of as many as fit into half of that; every loader worker unpacks them for itself.
    `nearfar data pack` makes shards of which any picture is read alone.

    Args:
        paths: the files.
        column: of the pictures: bytes, or a struct with ``bytes``.
        size: side of the squares, and of views whose recipe names no size, in pixels.
        labels, ids: one per row, or ``None``.
        name: what to call the set.
        splits: held-out sets by name.
        strict, max_bad, shown: as in :class:`nearfar.vision.data.ImageFolder`; damage is met when a row is read.

    Raises:
        ValueError: no parquet, no such column, no rows.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        column: str,
        size: int = 96,
        *,
        labels: np.ndarray | None = None,
        ids: np.ndarray | None = None,
        name: str = "parquet",
        splits: Mapping[str, Data] | None = None,
        strict: bool = False,
        max_bad: float = 0.1,
        shown: Shown = AS_THEY_ARE,
    ) -> None:
        self.rows = RowGroups(paths, column)
        if not len(self.rows):
            raise ValueError(f"{name} holds no rows")
        self.size, self.name, self.labels, self.shown = size, name, labels, shown
        self._ids, self._splits = ids, dict(splits or {})
        self.skipped = Skipped(len(self.rows), strict=strict, max_bad=max_bad, kind="rows")

    def __len__(self) -> int:
        return len(self.rows)

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every row once, those of few row groups at a time."""
        return mixed(self.rows.of, self.rows.together, rng)

    def encoded(self, row: int) -> bytes:
        try:
            found = self.rows.read(row)
        except ValueError as error:  # a whole group, which is no picture's fault
            raise BadDataError(str(error)) from error
        content = found.get("bytes") if isinstance(found, dict) else found
        if not content:
            raise PictureError(f"column {self.rows.column!r} is empty")
        return bytes(content)

    def place(self, row: int) -> str:
        return f"row {row}"

    @property
    def total_bytes(self) -> int:
        return int(self.rows.sizes.sum())

    @property
    def ids(self) -> np.ndarray:
        return np.arange(len(self)) if self._ids is None else self._ids

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        names = [os.path.abspath(path) for path in self.rows.paths]
        root = os.path.commonpath([os.path.dirname(name) for name in names])
        return file_contents(Path(root), [os.path.relpath(name, root) for name in names])
