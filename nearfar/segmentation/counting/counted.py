"""Counting in picture files with a trained method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from nearfar.segmentation.counting.drawn import SIZE as DRAWN
from nearfar.segmentation.counting.files import LONGER
from nearfar.segmentation.counting.pictures import CountBatch, read_square


class Locator(Protocol):
    """What finds the points of phrases."""

    def locate(self, batch: CountBatch) -> list[list[Tensor]]: ...
    def frozen(self) -> Any: ...


class Counted(NamedTuple):
    """A picture's file, a phrase, and the points (K, 2) that it names, (x, y) in pixels of the file."""

    picture: Path
    phrase: str
    points: np.ndarray


def count_in(method: Locator, pictures: Sequence[Path], phrases: Sequence[str], size: int) -> list[Counted]:
    """Every phrase in every picture, each scaled to a longer side of ``size`` as in training."""
    found = []
    for path in pictures:
        if not path.is_file():
            raise FileNotFoundError(f"there is no picture {path}")
        pixels, scale = read_square(path, size)
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        batch = CountBatch(images, [[*phrases]], [[torch.zeros(0, 2)] * len(phrases)], torch.zeros(1, dtype=torch.long))
        with method.frozen():
            (points,) = method.locate(batch)
        side = pixels.shape[0] / scale
        found += [Counted(path, phrase, each.numpy() * side) for phrase, each in zip(phrases, points, strict=True)]
    return found


def trained_size(described: Mapping[str, Any]) -> int:
    """The longer side of the pictures of a run, from what its ``config.yaml`` says of its data."""
    return int(described.get("size") or (DRAWN if described.get("source") in (None, "counted-shapes") else LONGER))


def table(counted: Sequence[Counted]) -> dict[str, list[Any]]:
    """A row for every point: ``image``, ``phrase``, ``x``, ``y``."""
    rows = [(str(c.picture), c.phrase, float(x), float(y)) for c in counted for x, y in c.points]
    return {name: [row[i] for row in rows] for i, name in enumerate(("image", "phrase", "x", "y"))}
