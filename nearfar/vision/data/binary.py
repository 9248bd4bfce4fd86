"""Published sets of small pictures in binary files: MNIST and its kin (idx), and STL-10."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np

from nearfar.common.files import read_whole
from nearfar.common.memory import room
from nearfar.vision.data.arrays import ImageArray

__all__ = ["idx", "is_idx", "is_stl10", "npy", "stl10"]

IDX_KINDS = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def npy(path: Path) -> np.ndarray:
    """One array of numbers.

    Raises:
        ValueError: damaged, of Python objects, or of more bytes than one file may take.
    """
    try:
        return np.asarray(np.load(io.BytesIO(read_whole(path, room())), allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an array: {error}") from error


def is_idx(path: Path) -> bool:
    """Whether a folder holds MNIST's files, or a file is named as they are."""
    if path.is_dir():
        return _idx_file(path, "train", "images") is not None
    return "idx" in path.name and "ubyte" in path.name


def idx(path: Path) -> ImageArray:
    """MNIST, Fashion-MNIST, EMNIST and others: a folder with ``train-images-idx3-ubyte``, its labels and the ``t10k``
    or ``test`` files, or one file of images; packed by gzip or not.

    Raises:
        ValueError: a file that is not in that format, or labels of another number.
    """
    if path.is_file():
        return ImageArray(_read_idx(path), name=path.stem)

    def part(name: str) -> tuple[np.ndarray, np.ndarray | None] | None:
        images, labels = _idx_file(path, name, "images"), _idx_file(path, name, "labels")
        return None if images is None else (_read_idx(images), None if labels is None else _read_idx(labels))

    train, test = part("train"), part("t10k") or part("test")
    assert train is not None
    splits = {} if test is None else {"test": ImageArray(*test, name=f"{path.name} test")}
    return ImageArray(*train, name=path.name, splits=splits)


def _idx_file(folder: Path, part: str, what: str) -> Path | None:
    found = sorted(p for p in folder.glob(f"*{part}[-_]{what}*") if "idx" in p.name)
    return found[0] if found else None


def _read_idx(path: Path) -> np.ndarray:
    content = read_whole(path, room())
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(room())
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} cannot be unpacked by gzip: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_KINDS:
        raise ValueError(f"{path} is no idx file: it does not begin as one")
    kind, axes = np.dtype(IDX_KINDS[content[2]]), content[3]
    start = 4 + 4 * axes
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    if len(content) - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{path} holds {len(content) - start:,} bytes for an array of shape {shape}")
    return np.frombuffer(content, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def is_stl10(path: Path) -> bool:
    return path.is_dir() and (path / "train_X.bin").is_file()


def stl10(path: Path) -> ImageArray:
    """STL-10's binary files: the unlabelled pictures and those for training are trained on where ``unlabeled_X.bin`` is
    there (the unlabelled have the label -1, which is none), and ``test_X.bin`` is held out.

    Raises:
        ValueError: files of another size.
    """

    def read(part: str) -> tuple[np.ndarray, np.ndarray]:
        file = path / f"{part}_X.bin"
        content = np.frombuffer(read_whole(file, room()), np.uint8)
        if content.size % (3 * 96 * 96):
            raise ValueError(f"{file} has {content.size:,} bytes, which is no number of pictures of 3 x 96 x 96")
        # Columns come before rows in these files.
        images = content.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
        known = path / f"{part}_y.bin"
        labels = np.full(len(images), -1, np.int64)
        if known.is_file():
            labels = np.frombuffer(read_whole(known, room()), np.uint8).astype(np.int64) - 1
        return images, labels

    parts = [read(part) for part in ("train", "unlabeled") if (path / f"{part}_X.bin").is_file()]
    splits = {"test": ImageArray(*read("test"), name="test")} if (path / "test_X.bin").is_file() else {}
    images, labels = (np.concatenate(found) for found in zip(*parts, strict=True))
    return ImageArray(images, labels, name=path.name, splits=splits)
