"""Tables and lines of text from anywhere, with what is wrong in them by row or line."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfar.common.files import read_whole
from nearfar.common.memory import check_room, room
from nearfar.sources.parquet import CELL, read_columns, schema_of, text_columns
from nearfar.sources.skipped import Skipped
from nearfar.spelling import meant

__all__ = ["TABLES", "Table", "labels_of", "read_lines", "read_table", "read_tables", "table_in", "why_no_text"]

# A text longer than this is no sentence and no caption; encoders see some hundreds of characters of it.
MAX_CHARACTERS = 100_000
SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
LINES = (".jsonl", ".ndjson")
TABLES = (*SEPARATORS, ".json", *LINES, ".parquet", ".pq")

Bad = list[tuple[str, str]]


class Table(NamedTuple):
    """Columns by name in lower case, the place of each row (``line 7``, ``row 3``), and what was left out and why."""

    columns: dict[str, list[Any]]
    places: list[str]
    bad: Bad

    def first(self, *names: str) -> list[Any] | None:
        """The first of these columns that is there."""
        return next((self.columns[name] for name in names if name in self.columns), None)

    def named(self, name: str, where: str) -> str:
        """A column that somebody asked for, in lower case.

        Raises:
            ValueError: ``where`` has no such column.
        """
        if name.lower() in self.columns:
            return name.lower()
        near = meant(name, self.columns)
        raise ValueError(
            f"{where} has no column {name!r}{near}{' Its' if near else '; its'} columns are {', '.join(self.columns)}"
        )

    def without(self, why: Callable[[int], str]) -> Table:
        """The rows that ``why``, called with a row's position, gives no reason against."""
        reasons = [why(row) for row in range(len(self.places))]
        kept = [row for row, reason in enumerate(reasons) if not reason]
        columns = {name: [values[row] for row in kept] for name, values in self.columns.items()}
        refused = [(place, reason) for place, reason in zip(self.places, reasons, strict=True) if reason]
        return Table(columns, [self.places[row] for row in kept], [*self.bad, *refused])

    def set_aside(self, where: str, *, kind: str, nothing: str, **checks: Any) -> Skipped:
        """What is bad, listed and counted.

        Args:
            where: the table's name in messages.
            kind: what rows are, in the plural.
            nothing: what there is none of, in the singular, where no row is left.
            checks: ``strict`` and ``max_bad``, see :class:`Skipped`.

        Raises:
            ValueError: no row is left. BadDataError: more rows are bad than may be.
        """
        skipped = Skipped(len(self.places) + len(self.bad), kind=kind, **checks)
        skipped.set_aside(self.bad, where)
        if not self.places:
            raise ValueError(f"{where} holds no {nothing}: {': '.join(self.bad[0]) if self.bad else 'it has no row'}")
        return skipped


def table_in(data: Any) -> Table | None:
    """What a program holds as a table: a mapping of columns, a data frame, a data set with named columns, or a list of
    mappings, one a row; ``None`` where it is something else.

    Raises:
        ValueError: columns of several lengths, or none.
    """
    columns: dict[str, list[Any]]
    names: Any
    if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        names = dict.fromkeys(str(name).lower() for row in data for name in row)
        lower = [{str(name).lower(): value for name, value in row.items()} for row in data]
        columns = {name: [row.get(name) for row in lower] for name in names}
    elif isinstance(data, Mapping):
        columns = {str(name).lower(): _cells(str(name), values) for name, values in data.items()}
    elif (names := getattr(data, "column_names", getattr(data, "columns", None))) is not None and not callable(names):
        columns = {str(name).lower(): _cells(str(name), data[name]) for name in names}
    else:
        return None
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise ValueError(
            f"the columns of a table have one length; got {told}" if lengths else "the table has no column"
        )
    return Table(columns, [f"row {row}" for row in range(next(iter(lengths.values())))], [])


def _cells(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not hasattr(values, "__len__") or not hasattr(values, "__iter__"):
        raise ValueError(f"column {name!r} holds a {type(values).__name__}; a column has a value for each row")
    values = values.tolist() if hasattr(values, "tolist") else list(values)
    if not isinstance(values, list):
        raise ValueError(f"column {name!r} holds one number; a column has a value for each row")
    return [None if isinstance(value, float) and value != value else value for value in values]


def read_lines(path: Path) -> Table:
    """A text file as a column ``sentence``: one per line, ended by ``\\n`` or ``\\r\\n`` and by nothing else.

    May be packed by gzip. Empty lines are no sentences and are passed over; lines that are not UTF-8, hold a NUL byte
    or more than :data:`MAX_CHARACTERS` characters are bad. A byte order mark is dropped, and one of UTF-16 obeyed.
    """
    places, sentences, bad = [], [], []
    for number, line in enumerate(_utf8(read_text_file(path), path).split(b"\n"), 1):
        try:
            sentence = line.decode().strip()
        except UnicodeDecodeError as error:
            bad.append((f"line {number}", f"byte 0x{line[error.start]:02x} at position {error.start + 1} is not UTF-8"))
            continue
        reason = sentence and why_no_text(sentence)
        if reason:
            bad.append((f"line {number}", reason))
        elif sentence:
            places.append(f"line {number}")
            sentences.append(sentence)
    return Table({"sentence": sentences}, places, bad)


def read_table(path: Path, suffix: str = "") -> Table:
    """A ``.csv``, ``.tsv`` (or ``.tab``), ``.json`` (a list of objects), ``.jsonl`` (or ``.ndjson``) or ``.parquet``
    file, all but the last also packed by gzip (``.csv.gz``); with ``suffix`` a file of that kind whose name says
    something else.

    Rows of a wrong number of cells, lines that are no JSON object and cells that are not UTF-8 are bad. In ``.tsv`` a
    row is a line, and a quotation mark is a character like any other, unless a cell begins and ends with one. In
    ``.csv`` cells are divided by ``,``, or by ``;`` or tabs where the first line has no comma; a cell in quotation
    marks may go on over several lines; a mark that is never closed, or only lines later that are rows themselves,
    makes its line bad and no other.

    Raises:
        ValueError: not in the format that its name says; no rows.
    """
    suffix = suffix or suffix_of(path)
    if suffix in SEPARATORS:
        table = _tsv(path) if SEPARATORS[suffix] == "\t" else _csv(path, SEPARATORS[suffix])
    elif suffix in (".json", *LINES):
        table = _json(path)
    else:
        table = _parquet(path)
    if not table.places:
        raise ValueError(
            f"{path} holds no rows" + (f"; the first problem: {': '.join(table.bad[0])}" if table.bad else "")
        )
    return table


def read_tables(paths: Sequence[Path]) -> Table:
    """Several files of one table, such as the shards of a published data set, as one: rows of the first, then of the
    next. Columns are those of any of them; a row of a file without one has ``None`` there. Places name the file too.

    Args:
        paths: at least one. Files of another kind than the first, the same rows in another format, are left out.

    Raises:
        ValueError: as for :func:`read_table`; more rows together than one file may take.
    """
    same = [path for path in paths if suffix_of(path) == suffix_of(paths[0])]
    if len(same) == 1:
        return read_table(same[0])
    columns: dict[str, list[Any]] = {}
    places: list[str] = []
    bad: Bad = []
    for path in same:
        part = read_table(path)
        for name in part.columns:
            columns.setdefault(name, [None] * len(places))
        for name, values in columns.items():
            values += part.columns.get(name) or [None] * len(part.places)
        places += [f"{path.name}, {place}" for place in part.places]
        bad += [(f"{path.name}, {place}", reason) for place, reason in part.bad]
        check_room(CELL * len(columns) * len(places), f"{path.parent}, with {len(places):,} rows so far,")
    return Table(columns, places, bad)


def read_text_file(path: Path) -> bytes:
    """The bytes of a text file, unpacked where it is packed by gzip; Python's form takes up to ten times as many.

    Raises:
        ValueError: more than a tenth of what one file may take, or damaged.
    """
    most = room() // 10
    content = read_whole(path, most)
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked by gzip: {error}") from error
    if len(content) > most:
        raise ValueError(f"{path} unpacks to more than {most:,} bytes; up to that many are read")
    return content


def suffix_of(path: Path) -> str:
    """The suffix in lower case; of a packed file (``.csv.gz``) the one before."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def why_no_text(value: Any) -> str:
    """Why a value is no sentence or caption; empty where it is one."""
    if not isinstance(value, str):
        return "the text is missing" if value is None else f"the text is a {type(value).__name__}"
    if not value.strip():
        return "the text is empty"
    if "\0" in value:
        return "the text holds a NUL character"
    if len(value) > MAX_CHARACTERS:
        return f"the text has {len(value):,} characters; up to {MAX_CHARACTERS:,} are read"
    return "the text holds bytes that are not UTF-8" if _has_raw_bytes(value) else ""


def labels_of(values: Sequence[Any] | None) -> np.ndarray | None:
    """Class numbers where every value is a whole number, names otherwise."""
    if values is None:
        return None
    names = [str(value).strip() for value in values]
    try:
        numbers = np.array([int(name) for name in names], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array(names)
    return numbers


def _utf8(raw: bytes, path: Path) -> bytes:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} begins like UTF-16 and is not: {error.reason} at byte {error.start}") from error
    return raw.removeprefix(b"\xef\xbb\xbf")


def _has_raw_bytes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _text(path: Path) -> str:
    return _utf8(read_text_file(path), path).decode(errors="surrogateescape")


def _tsv(path: Path) -> Table:
    lines = _text(path).split("\n")
    names = [name.strip().lower() for name in lines[0].rstrip("\r").split("\t")]
    places, rows, bad = [], [], []
    for number, line in enumerate(lines[1:], 2):
        row = [_unquoted(cell) for cell in line.rstrip("\r").split("\t")]
        if reason := _why_no_row(row, len(names)):
            bad.append((f"line {number}", reason))
        elif line.strip("\r"):
            places.append(f"line {number}")
            rows.append(row)
    return _by_column(names, places, rows, bad)


def _unquoted(cell: str) -> str:
    inside = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if whole else cell


def _csv(path: Path, separator: str) -> Table:
    text = _text(path)
    separator = _separator_of(text.partition("\n")[0], separator)
    # Ends of lines are those of csv: \n, \r\n, or \r alone where there is no other.
    lines = io.StringIO(text, newline="" if "\n" in text else None).readlines()
    before = csv.field_size_limit(len(text) + 1)
    try:
        names, start = _record(path, lines, 0, separator)
        names = [name.strip().lower() for name in names]
        places, rows, bad = [], [], []
        while start < len(lines):
            row, end = _record(path, lines, start, separator)
            place = f"line {start + 1}"
            if _swallows(lines[start:end], row, len(names), separator, at_the_end=end == len(lines)):
                bad.append((place, "a quotation mark in it is not closed before lines that are rows themselves"))
                end = start + 1
            elif reason := _why_no_row(row, len(names)):
                bad.append((place, reason))
            elif row:
                places.append(place)
                rows.append(row)
            start = end
    finally:
        csv.field_size_limit(before)
    return _by_column(names, places, rows, bad)


def _separator_of(header: str, usual: str) -> str:
    """What stands between the cells: spreadsheets of many countries write ``;`` into ``.csv``, and some a tab."""
    return next((each for each in (usual, ";", "\t") if each in header), usual)


def _record(path: Path, lines: list[str], start: int, separator: str) -> tuple[list[str], int]:
    """The row that begins at a line, and the line after it."""
    line = lines[start] if lines else ""
    if '"' not in line:
        return (line.rstrip("\r\n").split(separator) if line.strip("\r\n") else []), start + 1
    reader = csv.reader(itertools.islice(lines, start, None), delimiter=separator)
    try:
        row = next(reader, [])
    except csv.Error as error:
        raise ValueError(f"{path}, line {start + reader.line_num}: {error}") from error
    return row, start + reader.line_num


def _swallows(lines: list[str], row: list[str], cells: int, separator: str, *, at_the_end: bool) -> bool:
    """Whether a row of several lines is one whose quotation mark was never meant to go on."""
    if len(lines) < 2:
        return False
    closed = sum(line.count('"') for line in lines) % 2 == 0
    if at_the_end and not closed:
        return True
    if len(row) != cells:
        return True
    # Two lines in a cell with as many commas as a row has are more often a cell than not.
    return cells > 1 and len(lines) > 3 and all(line.count(separator) == cells - 1 for line in lines)


def _why_no_row(row: list[str], cells: int) -> str:
    """Why a row cannot be used; empty where it can, or is an empty line."""
    if len(row) != cells:
        return f"it has {len(row)} cells, and the first line {cells}" if any(row) else ""
    return "it holds bytes that are not UTF-8" if any(_has_raw_bytes(cell) for cell in row) else ""


def _by_column(names: list[str], places: list[str], rows: list[list[str]], bad: Bad) -> Table:
    return Table({name: [row[i] for row in rows] for i, name in enumerate(names)}, places, bad)


def _json(path: Path) -> Table:
    places, rows, bad = [], [], []
    for place, found in _json_values(path):
        if isinstance(found, dict):
            places.append(place)
            rows.append({str(name).lower(): value for name, value in found.items()})
        else:
            bad.append((place, found if isinstance(found, str) else f"it is a {type(found).__name__}, not an object"))
    names = dict.fromkeys(name for row in rows for name in row)
    return Table({name: [row.get(name) for row in rows] for name in names}, places, bad)


def _json_values(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and value of each entry; of a line that is no JSON, the reason as a string."""
    raw = _utf8(read_text_file(path), path)
    if suffix_of(path) in LINES:
        for number, line in enumerate(raw.split(b"\n"), 1):
            if line.strip():
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield f"line {number}", f"it is no JSON: {error}"
                else:
                    yield f"line {number}", found if not isinstance(found, str) else [found]
        return
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, list):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected a list of objects, one per row")
    yield from ((f"row {row}", value if not isinstance(value, str) else [value]) for row, value in enumerate(found))


def _parquet(path: Path) -> Table:
    names = text_columns(schema_of(path))
    columns: dict[str, list[Any]] = {name.lower(): [] for name in names}
    taken = 0
    known: dict[str, str] = {}
    for piece in read_columns(path, names) if names else ():
        for name, values in piece.items():
            texts = [_kept_once(value, known) if isinstance(value, str) else value for value in values]
            columns[name.lower()].extend(texts)
            taken += CELL * len(texts)
        check_room(taken + sum(len(text) for text in known), f"{path}, read so far,")
    rows = len(next(iter(columns.values()), []))
    return Table(columns, [f"row {row}" for row in range(rows)], [])


def _kept_once(text: str, known: dict[str, str]) -> str:
    """The same object for equal texts; of one that is too long, enough to see that it is."""
    return known.setdefault(text, text) if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS + 1]
