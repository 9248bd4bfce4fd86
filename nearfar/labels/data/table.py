"""Tables of picture files with columns of labels, levels, positions and places."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.labels.data.labelled import LabelledImages, check_tree
from nearfar.sources.roles import with_roles
from nearfar.sources.tables import Table, read_table
from nearfar.vision.data import ImageFolder

PATHS = ("path", "file", "filename", "image")
CLASSES = ("label", "class", "target")
NUMBERS = {
    "position": ("position", "depth", "slice", "x", "y", "z"),
    "coordinates": ("latitude", "longitude", "lat", "lon", "lng"),
}
NAMES = {"place": ("place", "location"), "subject": ("subject", "patient", "volume"), "weak": ("weak", "weak_label")}


def labelled_table(
    path: Path,
    size: int = 96,
    *,
    levels: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    **checks: Any,
) -> tuple[LabelledImages, np.ndarray | None]:
    """The pictures that a ``.csv``, ``.tsv``, ``.json``, ``.jsonl`` or ``.parquet`` file names.

    Columns, in any order: the file, relative to the table (``path``, ``file``, ``filename``, ``image``); optionally
    the class (``label``, ``class``, ``target``; empty where unknown), levels of a hierarchy (``level1``, ``level2``,
    ..., or as ``levels`` names them, coarse to fine), ``position`` or ``depth``, ``latitude`` and ``longitude``,
    ``place``, ``subject``, ``domain`` (``source``, ``target``), ``split`` (``train``, ``test``, ``val``), ``task``.

    Args:
        levels: names of the columns of a hierarchy, separated by commas.
        image_column, label_column: the columns of files and of classes, if not called so.
        checks: as for :class:`nearfar.vision.data.ImageFolder`.

    Returns:
        The pictures, with held-out sets where there is a column ``split``; and the task of each, or ``None``.

    Raises:
        ValueError: no column of files, a file twice, a number that is none, no training picture, a hierarchy that is
            no tree.
    """
    roles = {"pictures": (PATHS, image_column), "classes": (CLASSES, label_column)}
    table, taken = with_roles(read_table(path), str(path), roles)
    files = table.first(*PATHS)
    if files is None:
        raise ValueError(f"{path} has no column of files; name it path. It has {', '.join(table.columns)}")
    folder = path.parent
    row_of: dict[str, int] = {}
    for row, name in enumerate(files):
        key = os.path.relpath(folder / str(name), folder)
        if key in row_of:
            raise ValueError(f"{path} names {name} twice, in {table.places[row_of[key]]} and {table.places[row]}")
        row_of[key] = row
    images = ImageFolder(folder, size, files=[folder / str(name) for name in files], **checks)
    order = [row_of[name] for name in images.files]

    def column(values: Sequence[Any]) -> np.ndarray:
        return np.array(["" if values[row] is None else str(values[row]).strip() for row in order])

    marks = _marks(path, table, column, order)
    named = [n.strip().lower() for n in levels.split(",")] if levels else _levels(table)
    if named:
        missing = [name for name in named if name not in table.columns]
        if missing:
            raise ValueError(f"{path} has no column {missing[0]}; it has {', '.join(table.columns)}")
        marks["levels"] = _tree(path, [column(table.columns[name]) for name in named], named)
    given = table.first(*CLASSES) or (table.columns[named[-1]] if named else None)
    labels = None if given is None else column(given)
    if labels is not None and not (labels != "").any():
        raise ValueError(f"all labels in {path} are missing; fill the column in, or leave it out to learn without")
    whole = LabelledImages(images, labels, marks=marks, name=path.stem)
    whole.taken = taken.partition("; not taken")[0]
    tasks = column(table.columns["task"]) if "task" in table.columns else None
    if "split" not in table.columns:
        return whole, tasks
    parts = column(table.columns["split"])
    held_out = {name: whole.subset(np.flatnonzero(parts == name)) for name in ("test", "val") if (parts == name).any()}
    train = np.flatnonzero(~np.isin(parts, [*held_out]))
    if not len(train):
        raise ValueError(f"{path} has no picture for training: every row's split is one of {', '.join(held_out)}")
    return whole.subset(train).with_(splits=held_out), None if tasks is None else tasks[train]


def _levels(table: Table) -> list[str]:
    return sorted(
        name for name in table.columns if name.rstrip("0123456789") in ("level", "level_") and name[-1:].isdigit()
    )


def _tree(path: Path, columns: list[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Class numbers of each level; names that occur under several parents are the error that they look like."""
    numbers, classes = [], []
    for values in columns:
        known = np.unique(values[values != ""])
        classes.append(known.tolist())
        numbers.append(np.where(values == "", -1, np.searchsorted(known, values)))
    levels = np.stack(numbers, axis=1).astype(np.int64)
    try:
        check_tree(levels, names, classes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return levels


def _marks(path: Path, table: Table, column: Any, order: list[int]) -> dict[str, np.ndarray]:
    marks: dict[str, np.ndarray] = {}
    for mark, names in NUMBERS.items():
        there = [name for name in names if name in table.columns]
        if there:
            marks[mark] = np.stack([_floats(path, name, column(table.columns[name])) for name in there], axis=1)
    for mark, names in NAMES.items():
        found = table.first(*names)
        if found is not None:
            marks[mark] = np.unique(column(found), return_inverse=True)[1].astype(np.int64)
    if "coordinates" in marks and marks["coordinates"].shape[1] != 2:
        raise ValueError(f"{path} needs both latitude and longitude")
    if "domain" in table.columns:
        domain = column(table.columns["domain"])
        if not np.isin(domain, ["source", "target", "0", "1"]).all():
            raise ValueError(f"{path}: domain must be source or target in every row")
        marks["domain"] = np.isin(domain, ["target", "1"]).astype(np.int64)
    return marks


def _floats(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    try:
        found = values.astype(np.float32)
    except ValueError as error:
        raise ValueError(f"{path}: the column {name} must hold numbers: {error}") from error
    if not np.isfinite(found).all():
        raise ValueError(f"{path}: the column {name} must hold finite numbers in every row")
    return found
