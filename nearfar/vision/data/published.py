"""Image collections in the file formats people publish: CIFAR folders, npz, parquet."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.memory import check_room
from nearfar.sources.archives import read_npz
from nearfar.sources.labels import one_label
from nearfar.sources.parquet import class_names, image_columns, read_columns, rows_of, schema_of
from nearfar.sources.pickles import read_plain_pickle
from nearfar.sources.skipped import Skipped
from nearfar.sources.splits import by_split
from nearfar.sources.tables import labels_of
from nearfar.training import Data
from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.data.decode import PictureError, quiet, square
from nearfar.vision.data.deep import AS_THEY_ARE, Shown
from nearfar.vision.data.rows import ParquetPictures


def cifar(folder: Path) -> ImageArray:
    """CIFAR-10 or CIFAR-100 in the published Python format (``data_batch_1`` ... or ``train``), with its test set.

    Raises:
        ValueError: a file that is not in that format; FileNotFoundError: no such files.
    """
    folder = Path(folder)
    train = sorted(folder.glob("data_batch_[0-9]*")) or [folder / "train"]
    test = folder / "test_batch" if (folder / "test_batch").is_file() else folder / "test"
    images, labels = _cifar_batches([p for p in train if p.is_file()])
    names = _cifar_names(folder)
    splits = {}
    if test.is_file():
        test_images, test_labels = _cifar_batches([test])
        splits["test"] = ImageArray(test_images, _named(test_labels, names), name=f"{folder.name} test")
    return ImageArray(images, _named(labels, names), name=folder.name, splits=splits)


def _cifar_batches(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    if not paths:
        raise FileNotFoundError("no CIFAR batch file (data_batch_1 or train) is in the folder")
    images, labels = [], []
    for path in paths:
        try:
            content = read_plain_pickle(path)
            pixels = np.asarray(content[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
            found = np.asarray(content.get(b"labels", content.get(b"fine_labels")), dtype=np.int64)
        except Exception as error:  # hostile bytes make the unpickler raise anything
            raise ValueError(f"{path} is not a CIFAR batch in the published Python format: {error}") from error
        if found.shape != (len(pixels),):
            raise ValueError(f"{path} has labels of shape {found.shape} for {len(pixels)} images")
        images.append(pixels.transpose(0, 2, 3, 1))
        labels.append(found)
    return np.concatenate(images), np.concatenate(labels)


def _cifar_names(folder: Path) -> list[str] | None:
    for name, key in (("batches.meta", b"label_names"), ("meta", b"fine_label_names")):
        if (folder / name).is_file():
            try:
                return [n.decode() for n in read_plain_pickle(folder / name)[key]]
            except Exception as error:
                raise ValueError(f"{folder / name} holds no names of classes: {error}") from error
    return None


def _named(labels: np.ndarray, names: list[str] | None) -> np.ndarray:
    if names is None:
        return labels
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(names)):
        raise ValueError(f"labels {labels.min()} to {labels.max()} do not fit the {len(names)} names of classes")
    return np.array(names)[labels]


def npz(path: Path) -> ImageArray:
    """Arrays by their usual names: ``images``/``x``/``train_x``/``train_images``/``x_train`` and labels likewise;
    a test set where ``test_x`` and its kin are present. A single array of images needs no name.

    Raises:
        ValueError: see :func:`nearfar.sources.archives.read_npz` and :class:`ImageArray`; no array of images.
    """
    arrays = read_npz(path)

    def first(*names: str) -> np.ndarray | None:
        return next((arrays[n] for n in names if n in arrays), None)

    images = first("images", "x", "X", "train_images", "train_x", "x_train", "data")
    labels = first("labels", "y", "train_labels", "train_y", "y_train", "targets")
    if images is None and len(arrays) == 1:
        images = next(iter(arrays.values()))
    if images is None:
        raise ValueError(
            f"{path} has no array of images: it holds {', '.join(arrays) or 'nothing'}; expected images, x, "
            "train_images, train_x, x_train or data"
        )
    test = first("test_images", "test_x", "x_test")
    test_labels = first("test_labels", "test_y", "y_test")
    stem = Path(path).stem
    try:
        splits = {} if test is None else {"test": ImageArray(test, one_label(test_labels), name=f"{stem} test")}
        return ImageArray(images, one_label(labels), name=stem, splits=splits)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


HELD = 1 << 30
"""Bytes of pixels, at the size that is asked for, up to which pictures of parquet files are held in memory."""


def parquet(
    path: Path,
    size: int,
    *,
    strict: bool = False,
    max_bad: float = 0.1,
    shown: Shown = AS_THEY_ARE,
    held: int = HELD,
) -> ImageArray | ParquetPictures:
    """A parquet file, or a folder of them, with a column of encoded images.

    The column is ``image`` or the first that holds bytes, or the Hugging Face struct of ``bytes`` and ``path``.
    A column ``label`` (or ``labels``, ``class``, ``target``) gives labels, by the names of classes that the file
    brings along as Hugging Face's data sets do, and ``id`` identifiers. Rows without a readable image are left out and
    listed in ``skipped``, by row from 0.

    In a folder, files named by a part (``train-00000-of-00002.parquet``, ``validation-...``, or in folders called so)
    are that part: those for training are trained on, the others held out; see :mod:`nearfar.sources.splits`.

    Parts of more than ``held`` bytes of pixels at ``size`` are read in place (:class:`ParquetPictures`), and training
    then sees whole pictures, as of a folder; of others it sees central squares, which are held in memory.

    Raises:
        ValueError: no parquet, no such column, no readable row.
        BadDataError: more unreadable rows than ``strict`` or ``max_bad`` allows.
    """
    checks: dict[str, Any] = {"strict": strict, "max_bad": max_bad, "shown": shown, "held": held}
    if not path.is_dir():
        return _parquet_part([path], size, path.stem, **checks)
    files = parquet_files(path)
    parts, rest = by_split(files)
    if not parts:
        return _parquet_part(files, size, path.stem, **checks)
    if rest:
        warnings.warn(
            f"{len(rest)} parquet files of {path} name no part and are left out beside those that do, the first: "
            f"{rest[0].name}",
            stacklevel=2,
        )
    others = {name: _parquet_part(of, size, name, **checks) for name, of in parts.items() if name != "train"}
    return _parquet_part(parts["train"], size, path.stem, splits=others, **checks)


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder, or those of the folders in it."""
    return (
        sorted(folder.glob("*.parquet")) or sorted(folder.glob("*/*.parquet")) or sorted(folder.glob("*/*/*.parquet"))
    )


def _parquet_part(
    files: Sequence[Path],
    size: int,
    name: str,
    *,
    held: int,
    splits: Mapping[str, Data] | None = None,
    **checks: Any,
) -> ImageArray | ParquetPictures:
    schema = schema_of(files[0])
    label = next((n for n in LABELS if n in schema.names), None)
    wanted = [n for n in (label, "id" if "id" in schema.names else None) if n is not None]
    in_place = 3 * size**2 * rows_of(files) > held
    if in_place:
        columns: dict[str, list[Any]] = {column: [] for column in wanted}
        for piece in (piece for path in files if wanted for piece in read_columns(path, wanted)):
            for column, values in piece.items():
                columns[column] += values
    else:
        images, columns, skipped = read_parquet(files, size, others=wanted, **checks)
    labels = None if label is None else labels_of(columns[label])
    classes = None if label is None else class_names(schema, label)
    if labels is not None and classes is not None and labels.dtype.kind in "iu":
        labels = np.array(["", *classes])[np.where((labels >= 0) & (labels < len(classes)), labels + 1, 0)]
    ids = np.asarray(columns["id"]) if "id" in schema.names else None
    told: dict[str, Any] = {"labels": labels, "ids": ids, "name": name, "splits": splits}
    if in_place:
        return ParquetPictures(files, _image_column(files[0], schema), size, **told, **checks)
    data = ImageArray(images, **told)
    data.skipped = skipped
    return data


LABELS = ("label", "labels", "class", "target")


def read_parquet(
    paths: Sequence[Path],
    size: int,
    *,
    strict: bool = False,
    max_bad: float = 0.1,
    text: str | None = None,
    image: str | None = None,
    others: Sequence[str] = (),
    shown: Shown = AS_THEY_ARE,
) -> tuple[np.ndarray, dict[str, list[Any]], Skipped]:
    """Images (N, size, size, 3), other columns of the same rows, and which rows were left out and why.

    Pictures are brought to ``size`` as they are read, so memory holds those and a few rows of the files. Where
    ``text`` names a column, rows without a text in it are left out too.

    Raises:
        ValueError: no parquet, no such column, no readable row; more rows of that size than there is room for.
    """
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    column = image or _image_column(paths[0], schema_of(paths[0]))
    total = rows_of(paths)
    check_room(total * size * size * 3, f"{where}, with {total:,} pictures at {size} x {size} pixels,")
    skipped = Skipped(total, strict=strict, max_bad=max_bad, kind="rows")
    kept = dict.fromkeys((*others, *(() if text is None else (text,))))
    columns: dict[str, list[Any]] = {name: [] for name in kept}
    images: list[np.ndarray] = []
    bad: list[tuple[str, str]] = []
    row = -1
    with quiet():
        for piece in (piece for path in paths for piece in read_columns(path, [column, *columns])):
            for i, found in enumerate(piece[column]):
                row += 1
                words = None if text is None else piece[text][i]
                try:
                    if text is not None and (not isinstance(words, str) or not words.strip()):
                        raise PictureError(f"column {text!r} holds no text but {words!r}")
                    content = found.get("bytes") if isinstance(found, dict) else found
                    if not content:
                        raise PictureError(f"column {column!r} is empty")
                    images.append(square(bytes(content), size, shown))
                except PictureError as error:
                    bad.append((f"row {row}", str(error)))
                    continue
                for name, values in columns.items():
                    values.append(piece[name][i])
    if not images:
        raise ValueError(f"{where} holds no readable image in column {column!r}" + (f": {bad[0][1]}" if bad else ""))
    skipped.set_aside(bad, where)
    return np.stack(images), columns, skipped


def _image_column(path: Path, schema: Any) -> str:
    candidates = image_columns(schema)
    if not candidates:
        raise ValueError(f"{path} has no column of encoded images; its columns are {', '.join(schema.names)}")
    return "image" if "image" in candidates else candidates[0]
