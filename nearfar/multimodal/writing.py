"""What was said of pictures and drawn of captions, in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nearfar.common.files import atomic_write
from nearfar.system import UsageError

__all__ = ["Told", "write"]

INDEX = "made.jsonl"


class Told(NamedTuple):
    """A pair's ``row``, the caption that was ``given``, the one ``said`` of its picture, and the picture (H, W, 3)
    uint8 that was ``drawn`` of its caption."""

    row: int
    given: str
    said: str
    drawn: np.ndarray


def write(made: Iterator[Told], folder: Path) -> list[Path]:
    """Every picture as a .png file, and a line for each pair in ``made.jsonl``."""
    from PIL import Image

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"what is made is written into a folder, and {folder} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with atomic_write(folder / INDEX, "w") as lines:
        for each in made:
            name = f"{each.row:06d}.png"
            with atomic_write(folder / name) as file:
                Image.fromarray(each.drawn).save(file, format="png")
            paths.append(folder / name)
            line = {"row": each.row, "given": each.given, "said": each.said, "drawn": name}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [*paths, folder / INDEX]
