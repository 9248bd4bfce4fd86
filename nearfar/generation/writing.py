"""A folder of what was made: a file for each thing and ``made.jsonl``, a line for each example, in the order made.

A folder that was interrupted is gone on with: the examples whose lines and files stand there are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.files import appending, atomic_write
from nearfar.generation.data.blank import Blank
from nearfar.generation.made import Made
from nearfar.sources.data import Data
from nearfar.system import UsageError

INDEX = "made.jsonl"
LONGEST = 1 << 16
"""Characters of a line of the index that are read."""


def write(made: Iterator[Made], folder: Path) -> list[Path]:
    """Every thing as a file, whole or not at all, and its example's line after it. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise UsageError(f"what is made is written into a folder, and {folder} is none")
    standing = [json.dumps(line, ensure_ascii=False) for line in index(folder)]
    with atomic_write(folder / INDEX, "w") as file:  # a line that was cut off is not in the way of the next
        file.writelines(f"{line}\n" for line in standing)
    paths = []
    for each in made:
        names = each.file_names()
        for name, thing in each.things.items():
            with atomic_write(folder / names[name]) as file:
                thing.save(file)
            paths.append(folder / names[name])
        line = {"row": each.row, **each.said, "files": [*names.values()]}
        with appending(folder / INDEX) as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return paths


def index(folder: Path) -> list[dict[str, Any]]:
    """The lines of a folder whose files all stand there."""
    path = folder / INDEX
    if not path.is_file() or path.is_symlink():
        return []
    found = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            line = _line(text) if len(text) < LONGEST else None
            if line is not None and all((folder / name).is_file() for name in line["files"]):
                found.append(line)
    return found


def _line(text: str) -> dict[str, Any] | None:
    """A line, if it is one: a row and the plain names of files in the folder."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or not isinstance(line.get("row"), int) or not isinstance(line.get("files"), list):
        return None
    plain = all(isinstance(name, str) and Path(name).name == name for name in line["files"])
    return line if plain else None


def asked(data: Data) -> Data:
    """What is worked on: the held-out part ``test`` (or the only one), where there is one."""
    parts = dict(data.splits())
    return parts.get("test") or next(iter(parts.values()), data)


def inputs(data: Data, count: int | None = None) -> Data:
    """The examples that are worked on, at most ``count``; of new things as many as that."""
    if isinstance(data, Blank):
        return data if count is None else Blank(count)
    data = asked(data)
    return data if count is None else data.subset(np.arange(min(count, len(data))))


def pending(data: Data, folder: Path, count: int | None = None) -> Data:
    """The :func:`inputs` of which nothing stands in ``folder`` yet."""
    data = inputs(data, count)
    done = [line["row"] for line in index(folder)]
    return data.subset(np.setdiff1d(np.arange(len(data)), done))


def clear(folder: Path) -> None:
    """Remove what an earlier command made in ``folder``, and nothing else."""
    for line in index(folder):
        for name in line["files"]:
            (folder / name).unlink(missing_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
