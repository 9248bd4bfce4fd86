"""Image collections in the file formats people publish: CIFAR folders, npz, parquet."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.data.folder import to_rgb, to_square


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
                pixels = np.asarray(content[b"data"], dtype=np.uint8)
                images.append(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
                labels.append(np.asarray(content.get(b"labels", content.get(b"fine_labels"))))
            except (pickle.UnpicklingError, EOFError, KeyError, AttributeError, TypeError) as error:
                raise ValueError(f"{path} is not a CIFAR batch in the published Python format: {error}") from error
    return np.concatenate(images), np.concatenate(labels)


def _cifar_names(folder: Path) -> list[str] | None:
    for name, key in (("batches.meta", b"label_names"), ("meta", b"fine_label_names")):
        if (folder / name).is_file():
            with open(folder / name, "rb") as file:
                return [n.decode() for n in _PlainUnpickler(file, encoding="bytes").load()[key]]
    return None


def _named(labels: np.ndarray, names: list[str] | None) -> np.ndarray:
    return labels if names is None else np.array(names)[labels]


def npz(path: Path) -> ImageArray:
    """Arrays by their usual names: ``images``/``x``/``train_x``/``train_images``/``x_train`` and labels likewise;
    a test set where ``test_x`` and its kin are present. A single array of images needs no name."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {k: file[k] for k in file.files}

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
    splits = {} if test is None else {"test": ImageArray(test, _flat(test_labels), name=f"{stem} test")}
    return ImageArray(images, _flat(labels), name=stem, splits=splits)


def _flat(labels: np.ndarray | None) -> np.ndarray | None:
    return None if labels is None else np.asarray(labels).reshape(len(labels), -1)[:, 0]


def parquet(path: Path, size: int) -> ImageArray:
    """A parquet file, or a folder of them, with a column of encoded images.

    The column is ``image`` or the first that holds bytes, or the Hugging Face struct of ``bytes`` and ``path``.
    A column ``label`` (or ``labels``, ``class``, ``target``) gives labels and ``id`` identifiers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    names = table.column_names

    def holds_images(field: pa.Field) -> bool:
        kind = field.type
        if pa.types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    candidates = [f.name for f in table.schema if holds_images(f)]
    if not candidates:
        raise ValueError(f"{path} has no column of encoded images; its columns are {', '.join(names)}")
    column = "image" if "image" in candidates else candidates[0]
    images = []
    for row, cell in enumerate(table.column(column).to_pylist()):
        content: Any = cell.get("bytes") if isinstance(cell, dict) else cell
        try:
            with Image.open(io.BytesIO(content)) as picture:
                images.append(to_square(to_rgb(picture), size))
        except Exception as error:
            raise ValueError(f"{path}, row {row}: column {column!r} holds no readable image ({error})") from error
    label = next((n for n in ("label", "labels", "class", "target") if n in names), None)
    return ImageArray(
        np.stack(images),
        None if label is None else np.asarray(table.column(label).to_pylist()),
        ids=np.asarray(table.column("id").to_pylist()) if "id" in names else None,
        name=Path(path).stem,
    )
