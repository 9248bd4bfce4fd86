"""Tables of millions of rows, column by column and never as Python values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfar.common.memory import check_room
from nearfar.sources.tables import SEPARATORS, TABLES, read_table, read_text_file, suffix_of

__all__ = ["Columns", "as_column", "categories", "identities", "numbers", "read_arrow"]

GAPS = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "none", "-")
LONGEST = 1000
"""Characters of a name; a longer one names nothing."""


class Columns(NamedTuple):
    """Columns of Arrow by name in lower case, how many rows they have, and what was left out and why."""

    columns: dict[str, Any]
    rows: int
    bad: list[tuple[str, str]]

    def first(self, *names: str) -> str | None:
        """The first of these names that a column has."""
        return next((name for name in names if name in self.columns), None)


def read_arrow(path: Path) -> Columns:
    """A table as :func:`nearfar.sources.tables.read_table` takes it, for sizes that it does not bear.

    Lines of ``.csv`` and ``.tsv`` that have another number of cells than the first are bad; a cell ends with its line.

    Raises:
        ValueError: not in the format that its name says, no rows, no room for it.
    """
    suffix = suffix_of(path)
    if suffix in (".parquet", ".pq"):
        return _parquet(path)
    if suffix in SEPARATORS:
        return _separated(path, SEPARATORS[suffix])
    if suffix not in TABLES:
        raise ValueError(f"{path} is no table that this reads: {', '.join(TABLES)}")
    table = read_table(path)
    return Columns({name: as_column(values) for name, values in table.columns.items()}, len(table.places), table.bad)


def numbers(column: Any) -> np.ndarray | None:
    """(N,) float64 with NaN for gaps; ``None`` where a column holds no numbers."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    return column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)


def categories(column: Any) -> tuple[np.ndarray, list[str]]:
    """(N,) positions in the names that follow, -1 for gaps."""
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # without a single row
        return np.empty(0, dtype=np.int64), []
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    names = [str(value) for value in encoded.dictionary.to_pylist()]
    gaps = np.array([name.strip() in GAPS for name in names] or [False])
    return np.where((codes < 0) | gaps[codes], -1, codes), names


def identities(column: Any, what: str) -> np.ndarray:
    """(N,) whole numbers or names by which rows are known; -1 or an empty name for gaps.

    Raises:
        ValueError: something that is neither; names that are too long.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_floating(kind):  # whole numbers with gaps, as data frames keep them
        found = column.to_numpy().astype(np.float64)
        if (np.abs(found[np.isfinite(found)]) < 2**53).all() and not (found[np.isfinite(found)] % 1).any():
            return np.where(np.isfinite(found), found, -1).astype(np.int64)
    if pa.types.is_integer(kind):
        try:
            found = column.cast(pa.int64()).fill_null(-1).to_numpy()
        except pa.ArrowInvalid as error:
            raise ValueError(f"{what} holds a number that is too large to be an identity") from error
        return found
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        if pa.types.is_null(column.type):
            return np.full(len(column), -1, dtype=np.int64)
        raise ValueError(f"{what} holds {kind}; whole numbers or names are needed")
    longest = pc.max(pc.utf8_length(column)).as_py() or 0
    if longest > LONGEST:
        raise ValueError(f"{what} holds a name of {longest:,} characters; up to {LONGEST:,} are read")
    check_room(4.0 * longest * len(column), f"{what}, as names,")
    return np.char.strip(np.asarray(pc.fill_null(column, "").to_pylist(), dtype=np.str_))


def as_column(values: list[Any]) -> Any:
    """A column of Arrow of Python's values; numbers among names become names."""
    import pyarrow as pa

    try:
        found = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # numbers among names
        found = pa.array([None if value is None else str(value) for value in values])
    return pa.chunked_array([found])


def _separated(path: Path, separator: str) -> Columns:
    import pyarrow as pa
    from pyarrow import csv

    content = read_text_file(path)
    head = content[: content.find(b"\n") + 1 or len(content)].decode(errors="replace").lstrip("\ufeff")
    names = [name.strip().strip('"').lower() for name in head.rstrip("\r\n").split(separator)]
    if not any(names):
        raise ValueError(f"{path} holds no rows")
    if all(name.replace(".", "").lstrip("-").isdigit() for name in names):
        raise ValueError(f"{path} begins with numbers where its columns should be named, such as {names}")
    bad: list[tuple[str, str]] = []

    def skip(row: Any) -> str:
        bad.append((f"line {row.number}", f"it has {row.actual_columns} cells, and the first line {len(names)}"))
        return "skip"

    try:
        table = csv.read_csv(
            pa.BufferReader(content),
            read_options=csv.ReadOptions(use_threads=False, column_names=names, skip_rows=1),
            parse_options=csv.ParseOptions(delimiter=separator, invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(null_values=list(GAPS), strings_can_be_null=True),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {_first_sentence(error)}") from error
    return _checked(dict(zip(names, table.columns, strict=True)), table.num_rows, bad, path)


def _parquet(path: Path) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from nearfar.sources.parquet import schema_of, text_columns

    schema = schema_of(path)
    names = text_columns(schema)
    texts = [name for name in names if pa.types.is_string(schema.field(name).type)]
    try:
        metadata = pq.read_metadata(path)
        groups = (metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        check_room(max(sum(groups), 8 * metadata.num_rows * len(names)), f"{path}, a table,")
        table = pq.read_table(path, columns=names, read_dictionary=texts, use_threads=False, memory_map=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as parquet: {_first_sentence(error)}") from error
    return _checked({n.strip().lower(): c for n, c in zip(names, table.columns, strict=True)}, table.num_rows, [], path)


def _checked(columns: Mapping[str, Any], rows: int, bad: list[tuple[str, str]], path: Path) -> Columns:
    if not rows:
        raise ValueError(f"{path} holds no rows" + (f"; the first problem: {': '.join(bad[0])}" if bad else ""))
    return Columns({name: column for name, column in columns.items() if name}, rows, bad)


def _first_sentence(error: Exception) -> str:
    return str(error).split("\n")[0]
