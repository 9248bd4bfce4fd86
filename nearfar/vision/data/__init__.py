"""Where images come from: embedded sets, folders, published files, arrays."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.sources.splits import by_split, split_of
from nearfar.training import Data
from nearfar.vision.data.arrays import ImageArray, ImageGroups
from nearfar.vision.data.folder import ImageFolder, passed_over
from nearfar.vision.data.inflated import Inflated
from nearfar.vision.data.published import cifar, npz, parquet, parquet_files
from nearfar.vision.data.shapes import ShapeImages, shape_images
from nearfar.vision.data.video import TemporalPairs, shape_clips

__all__ = ["EMBEDDED", "ImageArray", "ImageFolder", "ImageGroups", "Inflated", "ShapeImages", "TemporalPairs", "load"]

EMBEDDED = {
    "styled-digits": "real handwriting (scikit-learn's digits), each digit in eight styles; other styles held out",
    "digits": "the same handwriting, white on black, without styles",
    "large-digits": "the styled digits at 32 pixels, for methods whose maps need room",
    "inflated-digits": "300 styled digits, and 3,000 imitations of them by a small generator for training",
    "shapes": "2,000 pictures of one coloured shape each, of which every factor and a mask is known",
    "shape-scenes": "the same with three shapes in each picture",
    "shape-clips": "500 generated videos of a moving shape each, eight frames long",
}

STYLES_PER_DIGIT = 8
SHAPE_SETS = {"shapes": (1, 32), "shape-scenes": (3, 64)}
"""Number of objects, and side when none is given."""


def load(
    data: str | Path | np.ndarray | Data | None = None,
    *,
    size: int | None = None,
    strict: bool = False,
    max_bad: float = 0.1,
    verify: bool = False,
) -> Data:
    """Images from wherever they are.

    Args:
        data: a folder of pictures (with class folders or without; with ``train`` and ``test`` or ``val`` folders
            or without), a CIFAR folder in its published format, an ``.npz`` or ``.parquet`` file, a folder of
            parquet files, an array, or an embedded name; ``styled-digits`` when nothing is given.
        size: side in pixels to which pictures are brought; embedded digits default to 16, shapes and clips to 32 and
            scenes of shapes to 64, folders and parquet files to 96, arrays keep their own.
        strict: stop at the first picture that cannot be read, instead of leaving it out and listing it.
        max_bad: largest share of pictures that may be unreadable, in [0, 1]; more stop the run.
        verify: decode every file of a folder before the start; without, a few kilobytes of each are looked at.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, np.ndarray):
        return ImageArray(data)
    if data is None or str(data) in EMBEDDED:
        name = str(data or "styled-digits")
        if name in SHAPE_SETS:
            objects, side = SHAPE_SETS[name]
            return shape_images(size or side, objects=objects)
        if name == "shape-clips":
            return shape_clips(size or 32)
        return _digits(name, size or (32 if name == "large-digits" else 16))
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file or folder {path}, and no embedded data of that name; embedded are {', '.join(EMBEDDED)}"
        )
    if path.is_dir():
        if any(path.glob("data_batch_[0-9]*")) or ((path / "train").is_file() and (path / "meta").is_file()):
            return cifar(path)
        if parquet_files(path):
            return parquet(path, size or 96, strict=strict, max_bad=max_bad)
        return _folder(path, size or 96, strict=strict, max_bad=max_bad, verify=verify)
    if path.suffix == ".npz":
        return npz(path)
    if path.suffix in (".parquet", ".pq"):
        return parquet(path, size or 96, strict=strict, max_bad=max_bad)
    raise ValueError(
        f"{path} is no image collection this reads; accepted are a folder of pictures, a CIFAR folder, .npz, .parquet"
    )


def _folder(path: Path, size: int, **checks: Any) -> Data:
    """A folder of pictures; where it has a part for training (:mod:`nearfar.sources.splits`), the others held out."""
    folders = [p for p in path.iterdir() if p.is_dir() and not passed_over(p.name)]
    parts, rest = by_split(folders, lambda p: split_of(p.name))
    if not parts:
        return ImageFolder(path, size, **checks)
    if rest:
        warnings.warn(
            f"beside {parts['train'][0].name} in {path}, {len(rest)} folders that name no part are left out: "
            f"{', '.join(p.name for p in rest[:3])}{', ...' * (len(rest) > 3)}",
            stacklevel=3,
        )
    named = [(split, p) for split, of in parts.items() for p in of]
    train = parts["train"][0]
    held: dict[str, Data] = {}
    for split, part in named:
        if part != train:
            name = part.name if split in held or split == "train" else split
            held[name] = ImageFolder(part, size, folder=part.name, **checks)
    return ImageFolder(train, size, folder=train.name, splits=held, **checks)


def _digits(name: str, size: int) -> Data:
    from nearfar.vision.data.styled_digits import styled_digits

    def images(split: str, styles: str, seed: int) -> ImageArray:
        pixels, labels, ids = styled_digits(split, styles, size=size, seed=seed)
        return ImageArray(pixels, labels, ids=ids, name=f"{name}, {styles} styles")

    if name == "inflated-digits":
        from nearfar.vision.data.inflated import inflated_digits

        return inflated_digits(size)
    if name == "digits":
        train = images("train", "clean", 0)
        return ImageArray(train.images, train.labels, name=name, splits={"test": images("test", "clean", 1)})
    pixels, labels, ids = styled_digits("train", "seen", size=size, seed=0, copies=STYLES_PER_DIGIT)
    digits = len(ids) // STYLES_PER_DIGIT  # copies follow one another
    pixels = pixels.reshape(STYLES_PER_DIGIT, digits, *pixels.shape[1:]).swapaxes(0, 1)
    held_out = {"seen styles": images("test", "seen", 1), "unseen styles": images("test", "unseen", 2)}
    return ImageGroups(pixels, labels[:digits], ids=ids[:digits], name=name, splits=held_out)
