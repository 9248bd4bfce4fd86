"""Names by which people and tools call the parts of a data set.

======  ===============================================
train   ``train``, ``training``, ``trn``
test    ``test``, ``testing``, ``tst``
val     ``val``, ``valid``, ``validation``, ``dev``
======  ===============================================

Letters of either case; of a file the name may go on after ``-``, ``_`` or ``.`` (``train-00000-of-00002.parquet``).
Parts are told only where there is one for training: a folder that has ``test`` alone may mean anything by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["by_split", "split_of"]

NAMES = {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing", "tst"),
    "val": ("val", "valid", "validation", "dev"),
}


def split_of(name: str) -> str | None:
    """``train``, ``test`` or ``val``, if a name says so."""
    return next((split for split, names in NAMES.items() if name.lower().strip() in names), None)


def split_of_file(path: Path) -> str | None:
    """The part that a file belongs to, by the beginning of its name, or else by its folder's name."""
    return split_of(re.split(r"[-_.\s]", path.name)[0]) or split_of(path.parent.name)


def by_split(
    paths: Iterable[Path], split: Callable[[Path], str | None] = split_of_file
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Paths by the part that they belong to, and those of no part; all of no part where none is for training.

    Two names of one part (``val`` and ``valid``) are parts of their own.
    """
    parts: dict[str, list[Path]] = {}
    rest: list[Path] = []
    paths = sorted(paths)
    for path in paths:
        found = split(path)
        (rest if found is None else parts.setdefault(found, [])).append(path)
    return (parts, rest) if "train" in parts else ({}, paths)
