"""Pictures that a program already holds: tensors, lists, tables of columns, data sets of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.data.decode import PictureError, quiet, square, to_rgb, to_square
from nearfar.vision.data.deep import AS_THEY_ARE, Shown

__all__ = ["FILES", "IMAGES", "LABELS", "from_files", "from_memory"]

IMAGES = ("image", "images", "picture", "img", "pixels", "x")
FILES = ("file", "filename", "file_name", "path", "filepath", "image_path", "image", "images", "img")
LABELS = ("label", "labels", "class", "target", "category", "y")


def from_memory(data: Any, size: int | None, shown: Shown = AS_THEY_ARE) -> ImageArray:
    """Pictures and, where they come along, labels.

    Taken are an array or a tensor (:class:`ImageArray` says of which shapes and values), a PIL picture, a list of
    pictures, arrays, tensors or paths, a pair ``(pictures, labels)``, a mapping or data frame with a column of
    pictures or paths, and a data set with ``len`` and items ``picture`` or ``(picture, label)``. Pictures of several
    sizes, PIL pictures and files become central squares of ``size`` (96 when not given), in the order given; they are
    held in memory. With a window in ``shown``, arrays may hold any numbers.

    Raises:
        TypeError: something else. ValueError: pictures that cannot be read, or labels of another number.
    """
    if isinstance(data, np.ndarray | torch.Tensor):
        if not len(data):
            raise ValueError(f"the {'array' if isinstance(data, np.ndarray) else 'tensor'} holds no images")
        return ImageArray(_in_window(_array(data), shown))
    if isinstance(data, Image.Image):
        return ImageArray(_stacked([data], size, shown))
    if isinstance(data, Mapping) or hasattr(data, "columns"):
        return _from_columns({str(name).lower(): data[name] for name in data}, size, shown)
    if isinstance(data, tuple) and len(data) == 2 and _many(data[0]) and (data[1] is None or _many(data[1])):
        pictures = from_memory(data[0], size, shown)
        return ImageArray(pictures.images, None if data[1] is None else _array(data[1]))
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return ImageArray(_stacked(data, size, shown))
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, type):
        items = [data[i] for i in range(len(data))]
        labelled = bool(items) and all(isinstance(item, tuple | list) and len(item) == 2 for item in items)
        pictures_of = [item[0] if isinstance(item, tuple | list) else item for item in items]
        labels = np.array([np.asarray(item[1]).item() for item in items]) if labelled else None
        return ImageArray(_stacked(pictures_of, size, shown), labels)
    raise TypeError(
        f"images are an array, a tensor, a list of pictures, arrays or paths, a pair (images, labels), a table with a "
        f"column of images, a data set, or a path; got {type(data).__name__}"
    )


def from_files(
    roots: Sequence[Path], names: Sequence[str], size: int, shown: Shown = AS_THEY_ARE
) -> tuple[list[np.ndarray], list[str]]:
    """The pictures of files in the first of ``roots`` that has them, and of each the reason why it is none, empty where
    it is one, in order."""
    pictures, reasons = [], []
    with quiet():
        for name in names:
            try:
                if not isinstance(name, str):
                    what = "it is missing" if name is None else f"a {type(name).__name__} is no name of a file"
                    raise PictureError(what)
                place = next((root / name for root in roots if (root / name).exists()), roots[0] / name)
                pictures.append(square(place, size, shown))
                reasons.append("")
            except (PictureError, TypeError) as error:
                reasons.append(f"{name}: {error}")
    return pictures, reasons


def _from_columns(columns: Mapping[str, Any], size: int | None, shown: Shown) -> ImageArray:
    name = next((n for n in (*IMAGES, *FILES) if n in columns), None)
    if name is None:
        raise ValueError(
            f"the table has no column of images: its columns are {', '.join(columns)}; expected one of "
            f"{', '.join(dict.fromkeys((*IMAGES, *FILES)))}"
        )
    label = next((n for n in LABELS if n in columns), None)
    pictures = columns[name]
    found = from_memory(
        pictures if isinstance(pictures, np.ndarray | torch.Tensor) and pictures.ndim > 1 else [*pictures], size, shown
    )
    return ImageArray(found.images, None if label is None else np.asarray([*columns[label]]))


def _many(value: Any) -> bool:
    return (
        isinstance(value, list | np.ndarray | torch.Tensor)
        and len(np.shape(value) if not isinstance(value, list) else [1]) > 0
    )


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = (value.to_dense() if value.layout is not torch.strided else value).detach().cpu()
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    return np.asarray(value)


def _in_window(values: np.ndarray, shown: Shown) -> np.ndarray:
    """Numbers of any range as bytes, where a window says how; bytes stay as they are."""
    if shown.window is None or values.dtype == np.uint8 or values.dtype.kind not in "uif":
        return values
    return shown.bytes_of(values, whole=values.dtype.kind in "ui")


def _stacked(pictures: Sequence[Any], size: int | None, shown: Shown) -> np.ndarray:
    """Pictures of any kinds as one array: as they are where they are arrays of one shape, else as squares."""
    if not len(pictures):
        raise ValueError("the list holds no images")
    if all(isinstance(each, np.ndarray | torch.Tensor) for each in pictures):
        arrays = [_array(each) for each in pictures]
        if len({each.shape for each in arrays}) == 1 and size is None:
            return _in_window(np.stack(arrays), shown)
    return np.stack([_square(each, size or 96, position, shown) for position, each in enumerate(pictures)])


def _square(picture: Any, size: int, position: int, shown: Shown) -> np.ndarray:
    try:
        if isinstance(picture, str | Path):
            return square(picture, size, shown)
        if isinstance(picture, Image.Image):
            return to_square(to_rgb(picture, shown), size)
        if isinstance(picture, np.ndarray | torch.Tensor):
            return to_square(ImageArray(_in_window(_array(picture)[None], shown)).images[0], size)
    except PictureError as error:
        raise ValueError(f"image {position} ({picture}) cannot be read: {error}") from error
    except ValueError as error:
        raise ValueError(f"image {position}: {error}") from error
    what = "missing" if picture is None else f"a {type(picture).__name__}"
    raise TypeError(f"image {position} is {what}; expected a picture, an array, a tensor or a path")
