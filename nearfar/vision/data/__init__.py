"""Where images come from: embedded sets, folders, published files, arrays."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.sources.opening import nothing_there
from nearfar.sources.roles import with_roles
from nearfar.sources.shards.finding import shards_at
from nearfar.sources.shards.places import ARCHIVES
from nearfar.sources.shards.remote import fetched, is_url
from nearfar.sources.skipped import Skipped
from nearfar.sources.splits import by_split, split_of
from nearfar.sources.tables import TABLES, labels_of, read_table, suffix_of
from nearfar.training import Data
from nearfar.vision.data.arrays import ImageArray, ImageGroups
from nearfar.vision.data.binary import idx, is_idx, is_stl10, npy, stl10
from nearfar.vision.data.deep import Shown
from nearfar.vision.data.folder import ImageFolder, has_picture, passed_over
from nearfar.vision.data.inflated import Inflated
from nearfar.vision.data.memory import FILES, LABELS, from_files, from_memory
from nearfar.vision.data.published import cifar, npz, parquet, parquet_files
from nearfar.vision.data.rows import ParquetPictures
from nearfar.vision.data.shapes import ShapeImages, shape_images
from nearfar.vision.data.shards import ShardedPictures, in_parts
from nearfar.vision.data.video import TemporalPairs, shape_clips

__all__ = [
    "EMBEDDED",
    "ImageArray",
    "ImageFolder",
    "ImageGroups",
    "Inflated",
    "ParquetPictures",
    "ShapeImages",
    "ShardedPictures",
    "TemporalPairs",
    "load",
    "parquet",
    "parquet_files",
]

EMBEDDED = {
    "styled-digits": "real handwriting (scikit-learn's digits), each digit in eight styles; other styles held out",
    "digits": "the same handwriting, white on black, without styles",
    "large-digits": "the styled digits at 32 pixels, for methods whose maps need room",
    "inflated-digits": "300 styled digits, and 3,000 imitations of them by a small generator for training",
    "shapes": "2,000 pictures of one coloured shape each, of which every factor and a mask is known",
    "shape-scenes": "the same with three shapes in each picture",
    "shape-clips": "500 generated videos of a moving shape each, eight frames long",
}

ONE_FILE = (".npz", ".npy", ".parquet", ".pq")
"""Suffixes of URLs that name one file of pictures and no shards."""

STYLES_PER_DIGIT = 8
SHAPE_SETS = {"shapes": (1, 32), "shape-scenes": (3, 64)}
"""Number of objects, and side when none is given."""


def load(
    data: Any = None,
    *,
    size: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    strict: bool = False,
    max_bad: float = 0.1,
    root: str | None = None,
    verify: bool = False,
    mix: int = 0,
    window: tuple[float, float] | None = None,
    bands: tuple[int, ...] | None = None,
) -> Data:
    """Images from wherever they are.

    Args:
        data: a folder of pictures (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, HEIC, DICOM; with class folders or
            without; with ``train`` and ``test`` or ``val`` folders or without), tar or zip archives of pictures (one, a
            folder of them, or a name with ``{00000..00099}``; see :class:`ShardedPictures`), a CIFAR, MNIST (idx) or
            STL-10 folder in its published format, an ``.npz``, ``.npy`` or ``.parquet`` file, a ``.csv``, ``.tsv``,
            ``.json`` or ``.jsonl`` table of picture files and labels, a folder of parquet files, anything in memory
            that :func:`nearfar.vision.data.memory.from_memory` takes, a URL of archives or of a file (``s3://``,
            ``gs://``, ``hf://``, ``https://``, fetched into the cache of ``NEARFAR_CACHE_LIMIT`` bytes), or an embedded
            name; ``styled-digits`` when nothing is given.
        size: side in pixels to which pictures are brought; embedded digits default to 16, shapes and clips to 32 and
            scenes of shapes to 64, folders, archives and parquet files to 96, arrays keep their own.
        image_column: the column of a table that names the picture files, relative to the table's folder; ``image``,
            ``file``, ``filename``, ``path`` and others when not given. Of archives the ending of the pictures
            (``left.jpg``), where examples have several.
        label_column: the column of labels; ``label``, ``class``, ``target`` or ``category`` when not given.
        root: another folder in which the files of a table are looked for, after the table's own.
        strict: stop at the first picture that cannot be read, instead of leaving it out and listing it.
        max_bad: largest share of pictures that may be unreadable, in [0, 1]; more stop the run.
        verify: decode every file of a folder or an archive before the start; without, a few kilobytes of each are
            looked at.
        mix: archives whose pictures are mixed at a time in an epoch's order, so that few are read at once; 0 for all,
            and for 16 of those at URLs.
        window: the values that become black and white, such as ``[-160, 240]``, in pictures of more than 8 bits, below
            0 or with fractions (DICOM, TIFF, PNG, arrays). Not given: a DICOM file's own window, or else each file's
            values divided by 4,095, 65,535 or 1, whichever is the least that holds them, and where some are below 0 the
            file's own range.
        bands: which bands of TIFF files are red, green and blue, or the one that is grey, counted from 1, such as
            ``[4, 3, 2]``. Not given: those of files with one, three, or one of these and transparency; other files are
            left out.
    """
    shown = Shown(None if window is None else (window[0], window[1]), None if bands is None else tuple(bands))
    if isinstance(data, Data):
        return data
    if data is not None and not isinstance(data, str | Path):
        return from_memory(data, size, shown)
    if data is None or str(data) in EMBEDDED:
        name = str(data or "styled-digits")
        if name in SHAPE_SETS:
            objects, side = SHAPE_SETS[name]
            return shape_images(size or side, objects=objects)
        if name == "shape-clips":
            return shape_clips(size or 32)
        return _digits(name, size or (32 if name == "large-digits" else 16))
    if is_url(str(data)) and Path(data).suffix.lower() in ONE_FILE:
        data = fetched(str(data))
    checks: dict[str, Any] = {"strict": strict, "max_bad": max_bad, "shown": shown}
    path = Path(data)
    archives = None if path.is_dir() else shards_at(data, mix, unless=has_picture)
    if archives is None and not path.exists():
        raise nothing_there(path, EMBEDDED)
    if path.is_dir():
        if any(path.glob("data_batch_[0-9]*")) or ((path / "train").is_file() and (path / "meta").is_file()):
            return cifar(path)
        if is_idx(path):
            return idx(path)
        if is_stl10(path):
            return stl10(path)
        if parquet_files(path):
            return parquet(path, size or 96, **checks)
        archives = shards_at(path, mix, unless=has_picture)
        if archives is None:
            return _folder(path, size or 96, verify=verify, **checks)
    if archives is not None:
        more = {"verify": verify, "image": image_column, "mix": archives.mix}
        return in_parts(archives.shards, archives.name, size or 96, **more, **checks)
    if path.suffix == ".npz":
        return npz(path)
    if path.suffix == ".npy":
        found = from_memory(npy(path), None, shown)
        found.name = path.stem
        return found
    if is_idx(path):
        return idx(path)
    if suffix_of(path) in TABLES and path.suffix not in (".parquet", ".pq"):
        return _table(path, size or 96, image_column, label_column, root, **checks)
    if path.suffix in (".parquet", ".pq"):
        return parquet(path, size or 96, **checks)
    raise ValueError(
        f"{path} is no image collection this reads; accepted are a folder of pictures, a CIFAR, MNIST or STL-10 "
        f"folder, .npz, .npy, {', '.join((*ARCHIVES, *TABLES))}"
    )


def _table(
    path: Path, size: int, image: str | None, label: str | None, root: str | None, *, shown: Shown, **checks: Any
) -> ImageArray:
    """Pictures that a table names, with labels where it has them."""
    roles = {"pictures": (FILES, image), "labels": (LABELS, label)}
    table, taken = with_roles(read_table(path), str(path), roles)
    files = table.first(*FILES)
    if files is None:
        raise ValueError(
            f"{path} has no column of picture files: its columns are {', '.join(table.columns)}; expected one of "
            f"{', '.join(FILES)}, or --image-column"
        )
    roots = (path.parent, *([Path(root)] if root else []))
    pictures, reasons = from_files(roots, files, size, shown)
    kept = table.without(lambda row: reasons[row])
    skipped = Skipped(len(kept.places) + len(kept.bad), kind="rows", **checks)
    if not pictures:
        raise ValueError(f"{path} names no readable picture; {': '.join(kept.bad[0])}")
    skipped.set_aside(kept.bad, str(path))
    labels = labels_of(kept.first(*LABELS))
    data = ImageArray(np.stack(pictures), labels, name=path.stem)
    data.skipped, data.taken = skipped, taken
    return data


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
