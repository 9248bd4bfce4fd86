"""Labels as they come: which rows have one, and whether they say one thing of each example."""

from __future__ import annotations

import warnings

import numpy as np

__all__ = ["classed_rows", "known", "one_label"]


def known(labels: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a row has a label. Whole numbers below 0 (by custom -1), NaN and empty names are none."""
    if labels.dtype.kind in "iu":
        return labels >= 0
    if labels.dtype.kind == "f":
        return np.isfinite(labels)
    if labels.dtype.kind == "U":
        return np.char.strip(labels) != ""
    return np.ones(len(labels), dtype=bool)


def one_label(labels: np.ndarray | None, what: str = "labels") -> np.ndarray | None:
    """One label per row.

    ``(N,)`` stays, ``(N, 1)`` loses its axis, and of ``(N, C)`` with a single 1 among zeros in every row (one-hot)
    the position of the 1 is taken. A matrix that says several things of a row names no class: it is left out, with a
    warning.
    """
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.ndim < 2:
        return labels.reshape(-1)
    flat = labels.reshape(len(labels), -1) if len(labels) else labels.reshape(0, 1)
    if flat.shape[1] == 1:
        return flat[:, 0]
    if flat.dtype.kind in "biuf" and ((flat == 0) | (flat == 1)).all() and (flat.sum(1) == 1).all():
        return flat.argmax(1)
    warnings.warn(
        f"{what} of shape {labels.shape} say several things of each example and name no class; they are left out, and "
        "nothing is measured by them",
        stacklevel=3,
    )
    return None


def classed_rows(labels: np.ndarray | None, where: str) -> np.ndarray:
    """The rows whose labels are classes that something can be measured by; none, with a warning, where there are not.

    Classes are asked to return: at least two of them, and at least half of the rows in a class that has another row.
    """
    if labels is None:
        return np.empty(0, np.int64)
    rows = np.flatnonzero(known(labels))
    found, counts = np.unique(labels[rows], return_counts=True)
    reason = ""
    if len(found) < 2:
        reason = "they name no class" if not len(found) else "they name one class only"
    elif labels.dtype.kind == "f" and (found % 1).any() and len(found) > 20:
        reason = "they are numbers to predict and not classes"
    elif counts[counts > 1].sum() < len(rows) / 2:
        reason = f"they name {len(found):,} classes of {len(rows):,} examples, so that hardly any comes back"
    if reason:
        warnings.warn(f"nothing is measured by the labels of {where}: {reason}", stacklevel=3)
        return np.empty(0, np.int64)
    return rows
