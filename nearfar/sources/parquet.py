"""Parquet files from anywhere, read piece by piece.

A column may repeat one value of a megabyte a thousand times in a few bytes, and a row group may unpack to any size. So
sizes are read from the file's own directory first, rows are taken a few at a time, and no more of them is kept than
what the reader makes of them.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.memory import check_room

__all__ = ["RowGroups", "class_names", "image_columns", "read_columns", "rows_of", "schema_of", "text_columns"]

PIECE = 64 << 20
"""Bytes that the rows read at a time may take."""

MOST_ROWS = 1024
"""Rows read at a time at most."""

CELL = 64
"""Bytes that a value takes in Python, at least."""


CACHED = 256 << 20
"""Bytes of row groups that a process keeps unpacked."""


class RowGroups:
    """One column of many files, any row of which is read by its number; a group of rows is unpacked for it and kept.

    Args:
        paths: the files.
        column: what is read, which every file has.

    Raises:
        ValueError: no parquet, or no such column.
    """

    def __init__(self, paths: Sequence[Path], column: str) -> None:
        self.paths, self.column = [*paths], column
        files, groups, counts, sizes = [], [], [], []
        for number, path in enumerate(paths):
            file = _opened(path)
            if column not in file.schema_arrow.names:
                raise ValueError(
                    f"{path} has no column {column!r}; its columns are {', '.join(file.schema_arrow.names)}"
                )
            for group in range(file.metadata.num_row_groups):
                told = file.metadata.row_group(group)
                chunks = [told.column(i) for i in range(told.num_columns)]
                mine = [c for c in chunks if f"{c.path_in_schema}.".startswith(f"{column}.")]
                files.append(number)
                groups.append(group)
                counts.append(told.num_rows)
                sizes.append(sum(c.total_uncompressed_size for c in mine))
        self.files, self.groups, self.sizes = np.array(files), np.array(groups), np.array(sizes, np.int64)
        self.ends = np.cumsum(counts, dtype=np.int64)
        self.of = np.repeat(np.arange(len(counts)), counts)
        self._begin()

    def __len__(self) -> int:
        return len(self.of)

    @property
    def together(self) -> int:
        """How many groups fit into half of what is kept, at least one."""
        return max(CACHED // 2 // max(int(self.sizes.max(initial=1)), 1), 1)

    def read(self, row: int) -> Any:
        """The value of a row, as a Python value.

        Raises:
            ValueError: its group is damaged, or claims more than one file may take.
        """
        group = int(self.of[row])
        with self._lock:
            values = self._kept.get(group)
            if values is None:
                values = self._kept[group] = self._unpacked(group)
                while len(self._kept) > 1 and sum(int(self.sizes[each]) for each in self._kept) > CACHED:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(group)
        return values[int(row - (self.ends[group - 1] if group else 0))].as_py()

    def _unpacked(self, group: int) -> Any:
        import pyarrow as pa

        path = self.paths[self.files[group]]
        check_room(int(self.sizes[group]), f"{path}, row group {self.groups[group]}")
        try:
            return _opened(path).read_row_group(int(self.groups[group]), columns=[self.column]).column(0)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path} cannot be read as parquet: {error}") from error

    def _begin(self) -> None:
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()


def schema_of(path: Path) -> Any:
    """The schema of a parquet file.

    Raises:
        ValueError: it is none, or is damaged.
    """
    return _opened(path).schema_arrow


def rows_of(paths: Sequence[Path]) -> int:
    """How many rows the files claim together."""
    return sum(_opened(path).metadata.num_rows for path in paths)


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Some columns of a file, a few rows at a time, as Python values.

    Raises:
        ValueError: no parquet, damage inside of it, or a row group that claims more than one file may take.
    """
    import pyarrow as pa

    file = _opened(path)
    wanted = {f"{name}." for name in columns}
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        chunks = [group.column(i) for i in range(group.num_columns)]
        sizes = [c.total_uncompressed_size for c in chunks if f"{c.path_in_schema}.".startswith(tuple(wanted))]
        check_room(sum(sizes), f"{path}, row group {number}")
        # No single value is larger than its column's share of the row group.
        rows = max(min(PIECE // max(sum(sizes), 1), MOST_ROWS), 1)
        try:
            for batch in file.iter_batches(batch_size=rows, row_groups=[number], columns=list(columns)):
                yield {name: batch.column(i).to_pylist() for i, name in enumerate(batch.schema.names)}
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read as parquet: {error}") from error


def class_names(schema: Any, column: str) -> list[str] | None:
    """The names of the classes of a column, where the file says so as Hugging Face's data sets do."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = described["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def image_columns(schema: Any) -> list[str]:
    """Columns of encoded files: bytes, or a struct that holds ``bytes``."""
    import pyarrow as pa

    def holds_images(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    return [field.name for field in schema if holds_images(field.type)]


def text_columns(schema: Any) -> list[str]:
    """Columns of single values that are no raw bytes."""
    import pyarrow as pa

    refused = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return [field.name for field in schema if not any(is_one(field.type) for is_one in refused)]


def _opened(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ValueError(f"{path} is no file")
    try:
        file = pq.ParquetFile(path, memory_map=False)
        check_room(file.metadata.num_rows * CELL, f"{path}, with {file.metadata.num_rows:,} rows,")
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as parquet: {error}") from error
    return file
