"""Tables and lines of text from anywhere, with what is wrong in them by row or line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfar.common.files import read_whole
from nearfar.common.memory import check_room, room
from nearfar.sources.parquet import CELL, read_columns, schema_of, text_columns

__all__ = ["TABLES", "Table", "labels_of", "read_lines", "read_table", "why_no_text"]

# A text longer than this is no sentence and no caption; encoders see some hundreds of characters of it.
MAX_CHARACTERS = 100_000
SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".pq")

Bad = list[tuple[str, str]]


class Table(NamedTuple):
    """Columns by name in lower case, the place of each row (``line 7``, ``row 3``), and what was left out and why."""

    columns: dict[str, list[Any]]
    places: list[str]
    bad: Bad

    def first(self, *names: str) -> list[Any] | None:
        """The first of these columns that is there."""
        return next((self.columns[name] for name in names if name in self.columns), None)

    def without(self, why: Callable[[int], str]) -> Table:
        """The rows that ``why``, called with a row's position, gives no reason against."""
        reasons = [why(row) for row in range(len(self.places))]
        kept = [row for row, reason in enumerate(reasons) if not reason]
        columns = {name: [values[row] for row in kept] for name, values in self.columns.items()}
        refused = [(place, reason) for place, reason in zip(self.places, reasons, strict=True) if reason]
        return Table(columns, [self.places[row] for row in kept], [*self.bad, *refused])


def read_lines(path: Path) -> Table:
    """A text file as a column ``sentence``: one per line, ended by ``\\n`` or ``\\r\\n`` and by nothing else.

    Empty lines are no sentences and are passed over; lines that are not UTF-8, hold a NUL byte or more than
    :data:`MAX_CHARACTERS` characters are bad. A byte order mark is dropped, and one of UTF-16 obeyed.
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
    """A ``.csv``, ``.tsv``, ``.json`` (a list of objects), ``.jsonl`` or ``.parquet`` file; with ``suffix`` a file of
    that kind whose name says something else.

    Rows of a wrong number of cells, lines that are no JSON object and cells that are not UTF-8 are bad.

    Raises:
        ValueError: not in the format that its name says; no rows.
    """
    suffix = suffix or path.suffix.lower()
    if suffix in SEPARATORS:
        table = _csv(path, SEPARATORS[suffix])
    elif suffix in (".json", ".jsonl"):
        table = _json(path)
    else:
        table = _parquet(path)
    if not table.places:
        raise ValueError(
            f"{path} holds no rows" + (f"; the first problem: {': '.join(table.bad[0])}" if table.bad else "")
        )
    return table


def read_text_file(path: Path) -> bytes:
    """The bytes of a text file, of which Python's form takes up to ten times as many."""
    return read_whole(path, room() // 10)


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


def _csv(path: Path, separator: str) -> Table:
    text = _utf8(read_text_file(path), path).decode(errors="surrogateescape")
    before = csv.field_size_limit(len(text) + 1)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        names = [name.strip().lower() for name in next(reader, [])]
        places, rows, bad = [], [], []
        start = reader.line_num + 1
        for row in reader:
            place, start = f"line {start}", reader.line_num + 1
            if len(row) != len(names):
                if row:
                    bad.append((place, f"it has {len(row)} cells, and the first line {len(names)}"))
            elif any(_has_raw_bytes(cell) for cell in row):
                bad.append((place, "it holds bytes that are not UTF-8"))
            else:
                places.append(place)
                rows.append(row)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    finally:
        csv.field_size_limit(before)
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
    if path.suffix.lower() == ".jsonl":
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
