"""Checked inputs: arrays or tensors in, finite NumPy arrays of the right shape out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

TILE_ELEMENTS = 1 << 22
"""Similarities held at once by anything that compares all rows with all rows (32 MiB in float64)."""


def to_numpy(x: Any, name: str) -> np.ndarray:
    """``x`` as an array, from anything array-like or a tensor of any device and precision."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        half = x.is_floating_point() and x.element_size() <= 2  # NumPy has no bfloat16
        return (x.float() if half else x).numpy()
    array = np.asarray(x)
    if array.dtype == object and array.size and all(isinstance(value, str) for value in array.flat):
        return array.astype(str)
    if array.dtype == object:
        raise ValueError(f"{name} must be a rectangular array of numbers or strings, got mixed or ragged objects")
    return array


def finite(x: Any, name: str, dtype: Any = np.float64) -> np.ndarray:
    """A non-empty array of finite numbers."""
    array = to_numpy(x, name)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    array = array.astype(dtype, copy=False)
    rows = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    bad = sum(int((~np.isfinite(rows[part])).sum()) for part in tiles(*rows.shape))
    if bad:
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values of {array.size}")
    return array


def matrix(
    x: Any, name: str, *, dtype: Any = np.float64, columns: int | None = None, rows: int | None = None
) -> np.ndarray:
    """A finite (N, D) array with N and D at least 1, and equal to ``rows`` and ``columns`` where given."""
    array = finite(x, name, dtype)
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (rows, features), got shape {array.shape}")
    if columns is not None and array.shape[1] != columns:
        raise ValueError(f"{name} must have {columns} columns, got shape {array.shape}")
    if rows is not None and array.shape[0] != rows:
        raise ValueError(f"{name} must have {rows} rows, got shape {array.shape}")
    return array


def vector(x: Any, name: str, *, length: int | None = None) -> np.ndarray:
    """A finite (N,) float64 array."""
    array = finite(x, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one number per row, shape (N,), got shape {array.shape}")
    if length is not None and len(array) != length:
        raise ValueError(f"{name} must have {length} entries, one per row, got {len(array)}")
    return array


def class_labels(y: Any, name: str, *, length: int | None = None, classes: int = 1) -> np.ndarray:
    """(N,) labels of any comparable type with at least ``classes`` different values."""
    array = to_numpy(y, name)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must have one label per row, shape (N,) with N > 0, got shape {array.shape}")
    if length is not None and len(array) != length:
        raise ValueError(f"{name} must have {length} entries, one per row, got {len(array)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} must not contain NaN or infinite labels")
    if classes > 1 and len(np.unique(array)) < classes:
        raise ValueError(f"{name} must contain at least {classes} classes, got only {array[0]!r}")
    return array


def binary(y: Any, name: str, *, length: int) -> np.ndarray:
    """(N,) booleans from booleans or 0/1, with both values present."""
    array = class_labels(y, name, length=length)
    values = np.unique(array)
    if array.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise ValueError(f"{name} must be 0/1 or boolean, got the values {values[:5].tolist()}")
    if len(values) < 2:
        raise ValueError(f"{name} must contain both 0 and 1, got only {int(values[0])}")
    return array.astype(bool)


def integer_classes(y: Any, name: str, *, length: int, num_classes: int) -> np.ndarray:
    """(N,) integers in 0 .. num_classes - 1: indices into the columns of a score matrix."""
    array = class_labels(y, name, length=length)
    if array.dtype.kind not in "biu" or array.min() < 0 or array.max() >= num_classes:
        raise ValueError(
            f"{name} must be integers in 0..{num_classes - 1}, one of the {num_classes} columns; "
            f"got {array.dtype} values from {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def positive_integer(value: Any, name: str, *, at_most: int | None = None, why: str = "") -> int:
    """``value`` as an int of at least 1 and at most ``at_most``."""
    number = int(value) if np.isfinite(value) else 0
    if number != value or number < 1 or (at_most is not None and number > at_most):
        limit = "at least 1" if at_most is None else f"between 1 and {at_most}{why and f' ({why})'}"
        raise ValueError(f"{name} must be an integer {limit}, got {value}")
    return number


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows divided by their L2 norm; rows of zeros stay zero."""
    unit = np.empty(x.shape, np.result_type(x, np.float32))
    for part in tiles(*x.shape):  # a million rows need one copy and not four
        largest = np.abs(x[part]).max(1, keepdims=True)
        # Squares of very small or large entries would leave the range of float32.
        scaled = x[part] / np.where(largest > 0, largest, 1)
        np.divide(scaled, np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1), out=unit[part])
    return unit


def centred(x: np.ndarray) -> np.ndarray:
    """Columns minus their mean; columns that are constant become exactly 0, without rounding error."""
    return np.where(np.ptp(x, axis=0) > 0, x - x.mean(0), 0.0)


def tiles(rows: int, columns: int) -> Iterator[slice]:
    """Row ranges such that a (range, columns) block stays within :data:`TILE_ELEMENTS`."""
    size = max(TILE_ELEMENTS // max(columns, 1), 1)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
