"""Phrases and points in files: a table of one's own, or REC-8K as published."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.segmentation.counting.pictures import CountedPictures, Named, why_not
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import LINES, read_table, read_text_file, suffix_of
from nearfar.vision.data.decode import why_unreadable

FILES = ("image", "file", "filename", "file_name", "path", "filepath")
PHRASES = ("phrase", "expression", "caption", "text")
SUFFIXES = (".json", *LINES)
LONGER = 384
"""Longer side of pictures in pixels, where none is asked for."""

Row = tuple[str, Path, Named, str]
"""Where it is written, the picture, the phrase with its points, the split."""


def is_counted(root: Path) -> bool:
    """Whether there is something here that :func:`read_counted` reads."""
    return (root.is_file() and suffix_of(root) in SUFFIXES) or _rec8k(root) is not None


def read_counted(root: Path, size: int | None = None, *, strict: bool = False, max_bad: float = 0.1) -> CountedPictures:
    """Pictures with phrases from files.

    A ``.json`` or ``.jsonl`` table has a row for every phrase: ``image`` (a file, relative to the table's folder),
    ``phrase``, ``points`` (a list of [x, y] in pixels of the picture, empty where there is none), and where it is
    wanted ``split``. A folder with ``annotations.json`` and ``splits.json`` (or those in ``anno``) is REC-8K as
    released, its pictures in ``rec-8k``, ``images`` or beside them.

    The split ``train`` is learned from, the others are held out; without splits everything is learned from.

    Args:
        root: the table, or the folder.
        size: the longer side of pictures in pixels; 384 when not given.
        strict: stop at the first row that cannot be used.
        max_bad: largest share of rows that may be unusable, in [0, 1].

    Raises:
        ValueError: not such files; no usable row.
    """
    rows, bad = _table(root) if root.is_file() else _released(root)
    skipped = Skipped(len(rows) + len(bad), strict=strict, max_bad=max_bad, kind="phrases")
    reasons: dict[Path, str] = {}
    kept: list[Row] = []
    for place, path, named, split in rows:
        reason = why_not(named) or reasons.setdefault(path, _why_no_picture(path))
        if reason:
            bad.append((place, reason))
        else:
            kept.append((place, path, named, split))
    if not kept:
        raise ValueError(f"{root} holds no phrase with a picture; {': '.join(bad[0])}" if bad else f"{root} is empty")
    skipped.set_aside(bad, str(root))
    names = list(dict.fromkeys(split for *_, split in kept))
    sets = {name: _collected([row for row in kept if row[3] == name]) for name in names}
    learned = "train" if "train" in sets else names[0]
    splits = {
        name: CountedPictures(*each, size=size or LONGER, name=name) for name, each in sets.items() if name != learned
    }
    return CountedPictures(*sets[learned], size=size or LONGER, name=root.stem, splits=splits, skipped=skipped)


def _collected(rows: Iterable[Row]) -> tuple[list[Path], list[list[Named]]]:
    found: dict[Path, list[Named]] = {}
    for _, path, named, _ in rows:
        found.setdefault(path, []).append(named)
    return [*found], [*found.values()]


def _table(path: Path) -> tuple[list[Row], list[tuple[str, str]]]:
    table = read_table(path)
    files, phrases, points = table.first(*FILES), table.first(*PHRASES), table.first("points")
    if files is None or phrases is None or points is None:
        raise ValueError(
            f"{path} has the columns {', '.join(table.columns)}; expected one of {', '.join(FILES)}, one of "
            f"{', '.join(PHRASES)}, and points"
        )
    splits = table.first("split") or ["train"] * len(files)
    rows, bad = [], list(table.bad)
    for place, file, phrase, where, split in zip(table.places, files, phrases, points, splits, strict=True):
        if not isinstance(file, str) or not file or "\0" in file:
            bad.append((place, "it names no picture"))
        else:
            rows.append((place, path.parent / file, Named(phrase, _points(where)), str(split)))
    return rows, bad


def _rec8k(root: Path) -> Path | None:
    found = (root / "anno", root)
    return next((f for f in found if (f / "annotations.json").is_file() and (f / "splits.json").is_file()), None)


def _released(root: Path) -> tuple[list[Row], list[tuple[str, str]]]:
    folder = _rec8k(root)
    if folder is None:
        raise ValueError(f"{root} holds no annotations.json with a splits.json")
    said, splits = (_object(folder / name) for name in ("annotations.json", "splits.json"))
    pictures = next((root / name for name in ("rec-8k", "images") if (root / name).is_dir()), root)
    rows: list[Row] = []
    bad: list[tuple[str, str]] = []
    for split, pairs in splits.items():
        for number, pair in enumerate(pairs if isinstance(pairs, list) else ()):
            place = f"{split} {number}"
            try:
                image, phrase = pair
                points = said[image][phrase]["points"]
            except (TypeError, ValueError, KeyError):
                bad.append((place, "it is no pair of a picture and a phrase that are annotated"))
                continue
            rows.append((place, pictures / image, Named(phrase, _points(points)), split))
    return rows, bad


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text_file(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected an object")
    return found


def _points(values: Sequence[Any]) -> np.ndarray:
    """Points as an array; what is none is left for :func:`why_not` to refuse."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return np.array([["none"]])
    return found.reshape(0, 2) if found.size == 0 else found


def _why_no_picture(path: Path) -> str:
    if not path.is_file():
        return f"there is no picture {path.name}"
    reason = why_unreadable(path)
    return f"{path.name}: {reason}" if reason else ""
