"""Image collections in the file formats people publish: CIFAR folders, npz, parquet."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.sources.archives import read_npz
from nearfar.sources.skipped import Skipped
from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.data.decode import PictureError, quiet, square


class _PlainUnpickler(pickle.Unpickler):
    """Reads dicts, lists, strings and NumPy arrays; everything else in the file is refused, not run."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"the file asks to run {module}.{name}, which is no part of the CIFAR format")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


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
        with open(path, "rb") as file:
            try:
                content = _PlainUnpickler(file, encoding="bytes").load()
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
            with open(folder / name, "rb") as file:
                try:
                    return [n.decode() for n in _PlainUnpickler(file, encoding="bytes").load()[key]]
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
        splits = {} if test is None else {"test": ImageArray(test, _flat(test_labels), name=f"{stem} test")}
        return ImageArray(images, _flat(labels), name=stem, splits=splits)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _flat(labels: np.ndarray | None) -> np.ndarray | None:
    return None if labels is None else labels.reshape(len(labels) if labels.ndim else 1, -1)[:, 0]


def parquet(path: Path, size: int, *, strict: bool = False, max_bad: float = 0.1) -> ImageArray:
    """A parquet file, or a folder of them, with a column of encoded images.

    The column is ``image`` or the first that holds bytes, or the Hugging Face struct of ``bytes`` and ``path``.
    A column ``label`` (or ``labels``, ``class``, ``target``) gives labels and ``id`` identifiers. Rows without a
    readable image are left out and listed in ``skipped``, by row from 0.

    Raises:
        ValueError: no parquet, no such column, no readable row.
        BadDataError: more unreadable rows than ``strict`` or ``max_bad`` allows.
    """
    images, rows, table, skipped = read_parquet(path, size, strict=strict, max_bad=max_bad)
    names = table.column_names
    label = next((n for n in ("label", "labels", "class", "target") if n in names), None)
    data = ImageArray(
        images,
        None if label is None else np.asarray(table.column(label).to_pylist())[rows],
        ids=np.asarray(table.column("id").to_pylist())[rows] if "id" in names else None,
        name=Path(path).stem,
    )
    data.skipped = skipped
    return data


def read_parquet(
    path: Path, size: int, *, strict: bool = False, max_bad: float = 0.1, text: str | None = None
) -> tuple[np.ndarray, np.ndarray, Any, Skipped]:
    """Images (N, size, size, 3), their rows (N,), the whole table, and which rows were left out and why.

    Where ``text`` names a column, rows without a text in it are left out too.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as parquet: {error}") from error
    column = _image_column(path, table)
    skipped = Skipped(len(table), strict=strict, max_bad=max_bad, kind="rows")
    texts = [None] * len(table) if text is None else table.column(text).to_pylist()
    images, rows, bad = [], [], []
    with quiet():
        for row, (cell, words) in enumerate(zip(table.column(column), texts, strict=True)):
            found = cell.as_py()
            content = found.get("bytes") if isinstance(found, dict) else found
            try:
                if text is not None and (not isinstance(words, str) or not words.strip()):
                    raise PictureError(f"column {text!r} holds no text but {words!r}")
                if not content:
                    raise PictureError(f"column {column!r} is empty")
                images.append(square(bytes(content), size))
                rows.append(row)
            except PictureError as error:
                bad.append((f"row {row}", str(error)))
    if not images:
        raise ValueError(f"{path} holds no readable image in column {column!r}" + (f": {bad[0][1]}" if bad else ""))
    skipped.set_aside(bad, str(path))
    return np.stack(images), np.array(rows), table, skipped


def _image_column(path: Path, table: Any) -> str:
    import pyarrow as pa

    def holds_images(field: pa.Field) -> bool:
        kind = field.type
        if pa.types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    candidates = [f.name for f in table.schema if holds_images(f)]
    if not candidates:
        raise ValueError(f"{path} has no column of encoded images; its columns are {', '.join(table.column_names)}")
    return "image" if "image" in candidates else candidates[0]
