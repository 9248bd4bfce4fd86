"""Parquet files from anywhere, read piece by piece.

A column may repeat one value of a megabyte a thousand times in a few bytes, and a row group may unpack to any size. So
sizes are read from the file's own directory first, rows are taken a few at a time, and no more of them is kept than
what the reader makes of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nearfar.common.memory import check_room

__all__ = ["class_names", "image_columns", "read_columns", "rows_of", "schema_of", "text_columns"]

PIECE = 64 << 20
"""Bytes that the rows read at a time may take."""

MOST_ROWS = 1024
"""Rows read at a time at most."""

CELL = 64
"""Bytes that a value takes in Python, at least."""


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
