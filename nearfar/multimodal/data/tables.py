"""Tables with a column for each modality: pictures, sounds, texts and numbers, some cells missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.memory import check_room
from nearfar.multimodal.data.tuples import Column, Tuples
from nearfar.multimodal.tuples import Kind
from nearfar.sources.parquet import image_columns, read_columns, schema_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.sound import SUFFIXES as SOUNDS
from nearfar.sources.sound import SoundError, read_middle
from nearfar.sources.splits import split_of
from nearfar.sources.tables import Table, labels_of, read_table, suffix_of, why_no_text
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, quiet, square
from nearfar.vision.data.folder import SUFFIXES as PICTURES

__all__ = ["kinds_of", "read_rows", "tuples"]

GAPS = {"", "?", "nan", "na", "null", "none", "n/a"}
LABELS = ("label", "labels", "class", "target")
NO_MODALITY = (*LABELS, "id", "ids", "key", "split", "part", "index", "row", "unnamed: 0", "")
SPLIT = ("split", "part")
SAMPLE = 200
"""Cells by which the kind of a column is told."""


@dataclass(frozen=True)
class Reading:
    """How cells are brought to one form.

    Attributes:
        size: side of pictures in pixels.
        rate: samples per second of sounds.
        seconds: length of sounds.
    """

    size: int = 96
    rate: int = 16000
    seconds: float = 2.0


def read_rows(path: Path) -> Table:
    """A table as :func:`nearfar.sources.tables.read_table` gives it; of parquet also columns of lists of numbers and of
    encoded pictures or sounds."""
    if suffix_of(path) not in (".parquet", ".pq"):
        return read_table(path)
    import pyarrow as pa

    schema = schema_of(path)
    lists = [f.name for f in schema if pa.types.is_list(f.type) or pa.types.is_fixed_size_list(f.type)]
    encoded = image_columns(schema)
    if not lists and not encoded:
        return read_table(path)
    plain = [f.name for f in schema if not pa.types.is_nested(f.type) and f.name not in encoded]
    columns: dict[str, list[Any]] = {name.lower(): [] for name in (*plain, *lists, *encoded)}
    taken = 0
    for piece in read_columns(path, [*plain, *lists, *encoded]):
        for name, values in piece.items():
            found = [v.get("bytes") if isinstance(v, dict) else v for v in values]
            taken += sum(len(v) * (1 if isinstance(v, bytes) else 8) for v in found if isinstance(v, bytes | list))
            columns[name.lower()].extend(found)
        check_room(taken, f"{path}, read so far,")
    count = len(next(iter(columns.values())))
    return Table(columns, [f"row {row}" for row in range(count)], [])


def missing(value: Any) -> bool:
    """Whether a cell is empty, or one of the words by which tables say so."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and value.strip().lower() in GAPS


def kinds_of(table: Table) -> dict[str, Kind]:
    """The columns of a table that may be modalities, with what each holds; columns that hold nothing are left out."""
    found: dict[str, Kind] = {}
    for name, values in table.columns.items():
        cells = [value for value in values if not missing(value)][:SAMPLE]
        if name not in NO_MODALITY and cells:
            found[name] = _kind(cells)
    return found


def _kind(cells: Sequence[Any]) -> Kind:
    if all(isinstance(cell, bytes) for cell in cells):
        return "sound" if cells[0][:4] in (b"RIFF", b"fLaC", b"OggS") and cells[0][8:12] != b"WEBP" else "picture"
    if sum(_vector(cell) is not None for cell in cells) >= 0.8 * len(cells):
        return "numbers"
    ends = [Path(cell.strip()).suffix.lower() for cell in cells if isinstance(cell, str)]
    for kind, suffixes in (("picture", PICTURES), ("sound", SOUNDS)):
        if len(ends) == len(cells) and sum(end in suffixes for end in ends) > 0.5 * len(cells):
            return kind  # type: ignore[return-value]
    return "text"


def _vector(cell: Any) -> list[float] | None:
    """A number, or a list of numbers, as a list; ``None`` where it is neither."""
    if isinstance(cell, list):
        numbers = [math.nan if each is None else each for each in cell]
        return [*map(float, numbers)] if numbers and all(isinstance(e, int | float) for e in numbers) else None
    try:
        return [float(cell)]
    except (TypeError, ValueError):
        return None


def chosen(kinds: Mapping[str, Kind], asked: str, path: Path) -> dict[str, list[str]]:
    """The modalities by name, each with its columns: those asked for, or all that there are.

    ``asked`` names columns between commas; columns of numbers joined by ``+`` are one modality. Without it, single
    columns of numbers are one modality together.
    """
    if not asked:
        numbers = [name for name, kind in kinds.items() if kind == "numbers"]
        found = {name: [name] for name in kinds if name not in numbers}
        return found | ({"numbers" if len(numbers) > 1 else numbers[0]: numbers} if numbers else {})
    found = {}
    for part in asked.split(","):
        names = [name.strip().lower() for name in part.split("+") if name.strip()]
        unknown = [name for name in names if name not in kinds]
        if unknown or not names:
            raise ValueError(
                f"{path} has no column {(unknown or [part.strip()])[0]!r} that holds a modality; it has "
                f"{', '.join(f'{name} ({kind})' for name, kind in kinds.items())}"
            )
        if len(names) > 1 and any(kinds[name] != "numbers" for name in names):
            raise ValueError(f"--modalities joins columns of numbers by +, and {part.strip()} names others")
        found["+".join(names)] = names
    return found


def tuples(
    path: Path, table: Table, asked: str, reading: Reading, *, strict: bool = False, max_bad: float = 0.1
) -> Tuples:
    """The rows of a table as a collection.

    A file that is named and cannot be read makes its row bad, and so does a row with fewer than two cells; bad rows are
    left out and listed. A column ``split`` makes parts, ``label`` gives labels.

    Raises:
        ValueError: no such column, fewer than two modalities, or no row that can be used.
        BadDataError: more bad rows than ``strict`` or ``max_bad`` allows.
    """
    kinds = kinds_of(table)
    wanted = chosen(kinds, asked, path)
    if len(wanted) < 2:
        held = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
        raise ValueError(f"{path} has fewer than two modalities: its columns that could be some are {held}")
    _check_room(path, table, {name: kinds[of[0]] for name, of in wanted.items()}, reading)
    reader = _Reader(path.parent, table, wanted, kinds, reading)
    with quiet():
        kept = table.without(reader.why)
    skipped = Skipped(len(kept.places) + len(kept.bad), strict=strict, max_bad=max_bad, kind="rows")
    if not kept.places:
        raise ValueError(f"{path} holds no row of two modalities; {': '.join(kept.bad[0])}")
    skipped.set_aside(kept.bad, str(path))
    columns = reader.columns()
    labels = labels_of(kept.first(*LABELS))
    notes = [f"{name}: {kinds[of[0]]}, {int(columns[name].here.sum()):,} of {len(kept.places):,} rows"
             for name, of in wanted.items()]  # fmt: skip
    unused = [name for name in kinds if not any(name in of for of in wanted.values())]
    notes += [f"columns not taken: {', '.join(unused)}"] if unused else []
    rows = Tuples(columns, labels, name=path.stem, rate=reading.rate, skipped=skipped, notes=notes)
    return _divided(rows, kept.first(*SPLIT))


def _divided(rows: Tuples, parts: list[Any] | None) -> Tuples:
    """The rows for training, those of other parts held out, where a column says so."""
    if parts is None:
        return rows
    named = np.array([split_of(str(part)) or "" for part in parts])
    if "train" not in named:
        return rows
    held: dict[str, Data] = {
        part: rows.chosen(np.flatnonzero(named == part), part) for part in ("val", "test") if part in named
    }
    train = rows.chosen(np.flatnonzero(named == "train"), rows.name)
    lost = int((named == "").sum())
    notes = [*rows.notes, *([f"{lost:,} rows of no part are left out"] if lost else [])]
    return Tuples(
        train.columns, train.labels, name=rows.name, rate=rows.rate, splits=held, skipped=rows.skipped, notes=notes
    )


def _check_room(path: Path, table: Table, kinds: Mapping[str, Kind], reading: Reading) -> None:
    bytes_of = {"picture": 3 * reading.size**2, "sound": 2 * round(reading.rate * reading.seconds)}
    claimed = len(table.places) * sum(bytes_of.get(kind, 0) for kind in kinds.values())
    check_room(claimed, f"{path}, with {len(table.places):,} rows of pictures and sounds in memory,")


class _Reader:
    """Reads the cells of one row after another, and keeps them."""

    def __init__(
        self,
        root: Path,
        table: Table,
        wanted: Mapping[str, list[str]],
        kinds: Mapping[str, Kind],
        reading: Reading,
    ) -> None:
        self.root, self.table, self.wanted, self.reading = root, table, wanted, reading
        self.kinds = {name: kinds[of[0]] for name, of in wanted.items()}
        self.widths = {name: self._width(name) for name, kind in self.kinds.items() if kind == "numbers"}
        self.found: dict[str, list[Any]] = {name: [] for name in wanted}

    def _width(self, name: str) -> list[int]:
        """Numbers in a cell of each of the modality's columns."""
        widths = []
        for column in self.wanted[name]:
            cells = (_vector(value) for value in self.table.columns[column] if not missing(value))
            widths.append(len(next(cell for cell in cells if cell is not None)))
        return widths

    def why(self, row: int) -> str:
        """Why the row cannot be used; empty where it can, and then its cells are kept."""
        cells: dict[str, Any] = {}
        for name, of in self.wanted.items():
            values = [self.table.columns[column][row] for column in of]
            if all(missing(value) for value in values):
                continue
            try:
                cells[name] = self._cell(name, values)
            except (PictureError, SoundError) as error:
                named = f"{values[0]}: " if isinstance(values[0], str) else ""
                return f"{named}{error}"
            except ValueError as error:
                return f"{name}: {error}"
        if len(cells) < 2:
            return f"it has {next(iter(cells))} alone" if cells else "it is empty"
        for name, kept in self.found.items():
            kept.append(cells.get(name))
        return ""

    def _cell(self, name: str, values: list[Any]) -> Any:
        kind, value = self.kinds[name], values[0]
        if kind == "numbers":
            return self._numbers(name, values)
        if kind == "text":
            text = value if isinstance(value, str) else str(value)
            if reason := why_no_text(text):
                raise ValueError(reason)
            return text.strip()
        source = value if isinstance(value, bytes) else self.root / str(value).strip()
        if kind == "picture":
            return square(source, self.reading.size)
        wave = read_middle(source, self.reading.rate, self.reading.seconds)
        return np.rint(wave * 32767).astype(np.int16)

    def _numbers(self, name: str, values: list[Any]) -> np.ndarray:
        numbers: list[float] = []
        for value, width in zip(values, self.widths[name], strict=True):
            found = [math.nan] * width if missing(value) else _vector(value)
            if found is None:
                raise ValueError(f"{str(value)[:40]!r} is no number")
            if len(found) != width:
                raise ValueError(f"it holds {len(found)} numbers, and the first row {width}")
            numbers += found
        made = np.array(numbers, dtype=np.float32)
        if np.isinf(made).any():
            raise ValueError("it holds an infinite value")
        return made

    def columns(self) -> dict[str, Column]:
        """What was kept, as modalities."""
        made = {}
        for name, kept in self.found.items():
            here = np.array([cell is not None for cell in kept])
            if not here.any():
                raise ValueError(f"no row that can be used has {name}; leave it out of --modalities")
            blank: Any = "" if self.kinds[name] == "text" else np.zeros_like(next(c for c in kept if c is not None))
            values = [blank if cell is None else cell for cell in kept]
            made[name] = Column(self.kinds[name], values if self.kinds[name] == "text" else np.stack(values), here)
        return made
