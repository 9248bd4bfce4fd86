"""What tables say of items and of users, as features: numbers and categories together, texts together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from nearfar.sources.words import text_vectors

__all__ = ["table_features"]

GAPS = {"", "?", "nan", "na", "n/a", "null", "none", "-"}
MOST_VALUES = 50
"""Different values of a column that is a category; one with more is a text."""


def table_features(columns: Mapping[str, list[Any]], names: list[Any], ids: np.ndarray, where: str) -> dict[str, Any]:
    """Features of the rows that ``ids`` name: ``columns`` (N, F), and ``texts`` (N, 128) where there are any.

    Numbers are standardised, a gap is their mean; a column of at most 50 different values that recur is a category,
    one column of ones for each value; any other is a text, and the texts of a row are one
    (:func:`nearfar.sources.words.text_vectors`). A row that the table does not have, or whose cells are empty, is
    zeros.

    Args:
        columns: of the table, without that of the names.
        names: whom each row of the table describes; of two rows of one name the first counts.
        ids: (N,) whose features are wanted.
        where: the table, for messages.

    Raises:
        ValueError: the table describes none of them, or has nothing to say.
    """
    place: dict[str, int] = {}
    for row, name in enumerate(names):
        place.setdefault(str(name).strip(), row)
    rows = np.array([place.get(name, -1) for name in ids.tolist()])
    if (rows < 0).all():
        raise ValueError(f"{where} describes none of the {len(ids)} that are named; the first is {ids[0]}")
    if (rows < 0).any():
        missing = ids[rows < 0]
        warnings.warn(
            f"{where} does not describe {len(missing):,} of {len(ids):,}, the first is {missing[0]}", stacklevel=4
        )
    parts: list[np.ndarray] = []
    texts: list[list[str]] = []
    for cells in columns.values():
        said = [_said(cells[row]) if row >= 0 else "" for row in rows]
        numbers = _numbers(said)
        values = sorted({each for each in said if each})
        if numbers is not None:
            parts.append(_standard(numbers))
        elif 2 <= len(values) <= MOST_VALUES and 2 * len(values) <= sum(map(bool, said)):
            parts.append((np.array(said)[:, None] == np.array(values)).astype(np.float32))
        elif values:
            texts.append(said)
    found = {}
    if parts:
        found["columns"] = np.concatenate(parts, 1)
    if texts:
        found["texts"] = text_vectors([" ".join(row) for row in zip(*texts, strict=True)])
    if not found:
        raise ValueError(f"{where} says nothing but names: its columns are {', '.join(columns) or 'none'}")
    return found


def _said(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    text = str(cell).strip()
    return "" if text.lower() in GAPS else text


def _numbers(said: list[str]) -> np.ndarray | None:
    """(N,) with NaN for gaps; ``None`` where something is no finite number, or nothing is one."""
    try:
        found = np.array([float(each) if each else np.nan for each in said])
    except ValueError:
        return None
    there = found[~np.isnan(found)]
    return found if len(there) and np.isfinite(there).all() else None


def _standard(values: np.ndarray) -> np.ndarray:
    there = ~np.isnan(values)
    spread = values[there].std()
    scaled = (values - values[there].mean()) / (spread if spread > 0 else 1)
    return np.where(there, scaled, 0.0)[:, None].astype(np.float32)
