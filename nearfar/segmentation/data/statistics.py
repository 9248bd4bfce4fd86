"""How many pixels of each class each scene has, in the two JSON files that DAFormer's rare-class sampling reads.

``sample_class_stats.json`` is a list of ``{"file": label map, "<number>": pixels, ...}``, and
``samples_with_class.json`` is ``{"<number>": [[label map, pixels], ...], ...}``. Numbers are those in the label files,
255 is not counted, and classes that a scene lacks are left out (tools/convert_datasets and
mmseg/datasets/uda_dataset.py of DAFormer's code).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfar.common.files import atomic_write
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.data.files import BadFile

PER_SCENE = "sample_class_stats.json"
PER_CLASS = "samples_with_class.json"

Counts = npt.NDArray[np.int64]


def count_classes(labels: Iterable[npt.NDArray[np.uint8]]) -> Counts:
    """Pixels (scenes, 256) of every number, 0 for 255."""
    counts = [np.bincount(label.ravel(), minlength=256) for label in labels]
    table = np.stack(counts).astype(np.int64) if counts else np.zeros((0, 256), np.int64)
    table[:, IGNORE] = 0
    return table


def write_statistics(root: Path, paths: Sequence[Path], counts: Counts) -> None:
    """Write both files into ``root``; ``paths`` are the label maps, in the order of ``counts`` (scenes, 256)."""
    names = [_name(root, path) for path in paths]
    present = [np.flatnonzero(row) for row in counts]
    per_scene: list[dict[str, Any]] = [
        {"file": name, **{str(value): int(row[value]) for value in values}}
        for name, row, values in zip(names, counts, present, strict=True)
    ]
    per_class = {
        str(value): [[name, int(row[value])] for name, row in zip(names, counts, strict=True) if row[value]]
        for value in np.flatnonzero(counts.sum(0))
    }
    for name, content in ((PER_SCENE, per_scene), (PER_CLASS, per_class)):
        with atomic_write(root / name, "w") as file:
            json.dump(content, file, indent=2)
            file.write("\n")


def read_counts(root: Path, paths: Sequence[Path]) -> Counts | None:
    """Pixels (scenes, 256) of these label maps from the statistics in ``root``; None when they do not cover them all.

    A label map is found by its path below ``root``, or by its file name alone where that names one only, as in
    statistics that were written on another machine. Raises :class:`BadFile` for a file of another form.
    """
    source = root / PER_SCENE
    if not source.is_file():
        return None
    table: dict[str, dict[str, int]] = {}
    twice: set[str] = set()
    try:
        for row in json.loads(source.read_text(encoding="utf-8")):
            name = row.pop("file")
            short = name.rpartition("/")[2]
            twice |= {short} & table.keys()
            table[name] = table[short] = {value: int(pixels) for value, pixels in row.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadFile(source, f"cannot be read ({type(error).__name__}: {error})", 'a list of {"file": ...}') from error
    counts = np.zeros((len(paths), 256), np.int64)
    for n, path in enumerate(paths):
        row = table.get(_name(root, path), None if path.name in twice else table.get(path.name))
        if row is None:
            return None
        for value, pixels in row.items():
            if not value.isdecimal() or int(value) > IGNORE:
                raise BadFile(source, f"counts pixels of class {value!r}", "class numbers within 0..255")
            counts[n, int(value)] = pixels
    return counts


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
