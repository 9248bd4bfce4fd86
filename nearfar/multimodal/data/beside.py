"""Folders of pictures with a text file beside each."""

from __future__ import annotations

from pathlib import Path

from nearfar.sources.splits import by_split, split_of
from nearfar.sources.tables import Table, read_lines
from nearfar.vision.data.folder import SUFFIXES

__all__ = ["beside", "parts_beside"]


def parts_beside(root: Path) -> dict[str, Path]:
    """The folders of the parts of a data set, ``train`` among them; the folder itself as ``train`` without such."""
    parts, _ = by_split((p for p in root.iterdir() if p.is_dir()), lambda path: split_of(path.name))
    return {name: of[0] for name, of in parts.items()} or {"train": root}


def beside(root: Path) -> Table:
    """Pictures in a folder and all below it, as columns ``image`` and ``caption``.

    The captions of ``a.jpg`` are the lines of ``a.txt``: each line is a pair, and empty ones are none. Pictures without
    a text beside them, and lines that are no text, are bad.

    Raises:
        ValueError: no picture of the folder has a text beside it.
    """
    pictures = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    columns: dict[str, list[str]] = {"image": [], "caption": []}
    places, bad = [], []
    for picture in pictures:
        name, text = picture.relative_to(root).as_posix(), picture.with_suffix(".txt")
        if not text.is_file():
            bad.append((name, f"there is no {text.name} beside it"))
            continue
        lines = read_lines(text)
        bad += [(f"{name}, {place} of {text.name}", reason) for place, reason in lines.bad]
        if not lines.places and not lines.bad:
            bad.append((name, f"{text.name} holds no caption"))
        columns["caption"] += lines.columns["sentence"]
        columns["image"] += [name] * len(lines.places)
        places += [f"{name}, {place} of {text.name}" for place in lines.places]
    if not places:
        raise ValueError(
            f"{root} is a folder without a table named train, and none of its {len(pictures)} pictures has captions in "
            "a file of its name and .txt beside it"
        )
    return Table(dict(columns), places, bad)
