"""Pictures with phrases, each with the points of the objects that it names: the batch, and collections of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import BadDataError, Skipped
from nearfar.sources.tables import why_no_text
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, decode, quiet

LEAST_SIZE = 16


class CountBatch(NamedTuple):
    """Pictures with phrases and the points of what each phrase names.

    ``images`` (N, 3, S, S) uint8; ``phrases``, one list of strings for each picture, at least one string each;
    ``points``, for each of them a float tensor (K, 2) of (x, y) as shares of the side, in [0, 1], K its count;
    ``rows`` (N,) int64, positions in the collection.
    """

    images: Tensor
    phrases: list[list[str]]
    points: list[list[Tensor]]
    rows: Tensor


class Named(NamedTuple):
    """A phrase and the points (K, 2) of what it names, (x, y) in pixels of the picture."""

    phrase: str
    points: np.ndarray


class CountedPictures(Data):
    """Pictures of one size, each with the phrases that name objects in it.

    Pictures in files are read when they are asked for and scaled so that their longer side is ``size``; they lie at
    the top left of a black square.

    Args:
        pictures: (N, S, S, 3) uint8, or N paths.
        named: what is named in each picture, at least one phrase.
        size: side of the squares in pixels, at least 16; needed for paths.
        name: what to call the set.
        splits: held-out sets by name.
        skipped: what the source held besides.

    Raises:
        ValueError: sizes that do not fit; a phrase without words; points that are none.
    """

    gives = CountBatch

    def __init__(
        self,
        pictures: np.ndarray | Sequence[Path],
        named: Sequence[Sequence[Named]],
        *,
        size: int | None = None,
        name: str = "counted pictures",
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self.size = size or (pictures.shape[1] if isinstance(pictures, np.ndarray) else 0)
        if self.size < LEAST_SIZE:
            raise ValueError(f"size must be at least {LEAST_SIZE} pixels, got {self.size}")
        if len(pictures) != len(named) or len(named) == 0:
            raise ValueError(f"there are {len(pictures)} pictures and phrases for {len(named)}; at least one is needed")
        for row, each in enumerate(named):
            reason = "it has no phrase" if not each else next(filter(None, (why_not(n) for n in each)), "")
            if reason:
                raise ValueError(f"picture {row}: {reason}")
        self.pictures, self.named, self.name, self.skipped = pictures, named, name, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.named)

    @property
    def ids(self) -> np.ndarray:
        if isinstance(self.pictures, np.ndarray):
            return np.arange(len(self))
        return np.array([path.name for path in self.pictures])

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def batch(self, indices: np.ndarray) -> CountBatch:
        read = [self._read(int(i)) for i in indices]
        images = torch.from_numpy(np.stack([pixels for pixels, _ in read])).permute(0, 3, 1, 2).contiguous()
        phrases = [[each.phrase for each in self.named[i]] for i in indices]
        points = [
            [torch.from_numpy(n.points.reshape(-1, 2) * scale / self.size).float() for n in self.named[i]]
            for i, (_, scale) in zip(indices, read, strict=True)
        ]
        return CountBatch(images, phrases, points, torch.as_tensor(indices))

    def _read(self, row: int) -> tuple[np.ndarray, float]:
        """A square and by how much the picture was scaled."""
        found = self.pictures[row]
        if isinstance(found, np.ndarray):
            return found, 1.0
        pixels, scale = read_square(found, self.size)
        points = np.concatenate([each.points.reshape(-1, 2) for each in self.named[row]])
        if len(points) and points.max() * scale > self.size:
            raise BadDataError(f"{found} has a point at {points.max(0).tolist()}, which lies outside of the picture")
        return pixels, scale

    def contents(self) -> Mapping[str, str]:
        said = [[(each.phrase, each.points) for each in picture] for picture in self.named]
        return {**super().contents(), "phrases": digest_of(said)}


def why_not(named: Named) -> str:
    """Why a phrase with points cannot be counted; empty where it can."""
    reason = why_no_text(named.phrase)
    if reason or not any(c.isalnum() for c in named.phrase):
        return reason.replace("the text", "the phrase") or f"the phrase {named.phrase!r} has no words"
    points = np.asarray(named.points)
    if points.size and (points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf"):
        return f"the points of {named.phrase!r} must be pairs of numbers (x, y), got an array of shape {points.shape}"
    if points.size and not (np.isfinite(points).all() and points.min() >= 0):
        return f"the points of {named.phrase!r} must be finite and at least 0, in pixels"
    return ""


def read_square(path: Path, size: int) -> tuple[np.ndarray, float]:
    """A picture at the top left of a black square (size, size, 3), and the factor it was scaled by.

    Raises:
        BadDataError: it cannot be read.
    """
    try:
        with quiet():
            pixels = decode(path)
    except PictureError as error:
        raise BadDataError(f"{path} cannot be used: {error}") from error
    scale = size / max(pixels.shape[:2])
    height, width = (max(math.floor(side * scale + 0.5), 1) for side in pixels.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.zeros((size, size, 3), np.uint8)
    square[:height, :width] = cv2.resize(pixels, (width, height), interpolation=method)
    return square, scale
