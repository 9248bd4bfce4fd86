"""The formats of the UCR and UEA archives: ``.tsv`` and ``.txt``, ``.ts``, ``.arff``."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np

from nearfar.sources.tables import labels_of, read_text_file

__all__ = ["FORMATS", "read_archive", "sibling"]

FORMATS = (".tsv", ".txt", ".ts", ".arff")
GAPS = {"", "?", "nan", "na", "null", "none"}

Read = tuple[list[np.ndarray], np.ndarray | None]


def read_archive(path: Path) -> Read:
    """The series (T, C) of a file and their labels.

    Raises:
        ValueError: a line that cannot be understood, with its number.
    """
    lines = read_text_file(path).decode(errors="replace").splitlines()
    reader = {".ts": _ts, ".arff": _arff}.get(path.suffix.lower(), _plain)
    series, labels = reader(lines, path)
    if not series:
        raise ValueError(f"{path} holds no series")
    return series, labels_of(labels) if labels else None


def sibling(path: Path) -> Path | None:
    """The test part that belongs to a training part: ``CBF_TEST.tsv`` of ``CBF_TRAIN.tsv``."""
    for train, test in (("_TRAIN", "_TEST"), ("_train", "_test")):
        if train in path.name:
            found = path.with_name(path.name.replace(train, test))
            return found if found.is_file() else None
    return None


def numbers(cells: list[str], place: str) -> np.ndarray:
    """Cells as float64, NaN for a gap.

    Raises:
        ValueError: a cell is neither; the message begins with ``place``.
    """
    try:
        return np.array([float(c) if c.strip().lower() not in GAPS else np.nan for c in cells])
    except ValueError as error:
        raise ValueError(f"{place}: {error}; expected numbers, and nothing or ? for a gap") from error


def trimmed(values: np.ndarray) -> np.ndarray:
    """(T, C) without gaps at its end: they fill up shorter series."""
    there = np.flatnonzero(~np.isnan(values).all(1))
    return values[: there[-1] + 1] if len(there) else values[:1]


def _plain(lines: list[str], path: Path) -> tuple[list[np.ndarray], list[str]]:
    """A label, then the values, between tabs, commas or spaces."""
    series, labels = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            cells = re.split(r"\t|,| +", line.strip())
            if len(cells) < 2:
                raise ValueError(f"{path}, line {number}: it has one cell; expected a label and the values")
            label = cells[0]
            with contextlib.suppress(ValueError):
                label = str(int(float(label))) if float(label).is_integer() else label
            labels.append(label)
            series.append(trimmed(numbers(cells[1:], f"{path}, line {number}")[:, None]))
    return series, labels


def _ts(lines: list[str], path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Channels between colons, the label last, after a head of ``@`` lines."""
    series, labels, head, labelled = [], [], True, False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        place = f"{path}, line {number}"
        if not text or text.startswith("#"):
            continue
        if head:
            words = text.lower().split()
            if words[0] == "@classlabel":
                labelled = len(words) > 1 and words[1] == "true"
            elif words[0] == "@timestamps" and words[1:] == ["true"]:
                raise ValueError(f"{place}: time stamps are not read from .ts; use a csv with a column time")
            head = words[0] != "@data"
            continue
        parts = text.split(":")
        if labelled:
            labels.append(parts.pop().strip())
        series.append(_channels([part.split(",") for part in parts], place))
    return series, labels


def _arff(lines: list[str], path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Numeric attributes and a nominal one last; or a relational one, its channels between ``\\n``, and the nominal."""
    series: list[np.ndarray] = []
    labels: list[str] = []
    nominal, relational, head = False, False, True
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("%"):
            continue
        if head:
            low = text.lower()
            relational = relational or (low.startswith("@attribute") and low.endswith("relational"))
            if low.startswith("@attribute"):
                nominal = text.endswith("}")
            head = not low.startswith("@data")
            continue
        place = f"{path}, line {number}"
        if relational:
            found = re.match(r"^(['\"])(.*)\1\s*(?:,\s*(.*))?$", text)
            if found is None:
                raise ValueError(f"{place}: expected the channels in quotation marks, then the label")
            body, label = found.group(2), found.group(3)
            series.append(_channels([part.split(",") for part in body.split("\\n")], place))
        else:
            cells = text.split(",")
            label = cells.pop() if nominal else None
            series.append(_channels([cells], place))
        if nominal and label is not None:
            labels.append(label.strip().strip("'\""))
    return series, labels


def _channels(parts: list[list[str]], place: str) -> np.ndarray:
    """(T, C) of the cells of each channel; channels of unequal length end in gaps."""
    found = [numbers(cells, place) for cells in parts]
    longest = max(map(len, found))
    padded = [np.pad(each, (0, longest - len(each)), constant_values=np.nan) for each in found]
    return trimmed(np.stack(padded, 1))
