"""Weighted k-nearest-neighbour classification: how good are the neighbourhoods, with nothing trained."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import class_labels, matrix, positive_integer, tiles, unit_rows
from nearfar.evaluation.probing._search import search

Index = Literal["auto", "exact", "faiss"]

_LARGE = 10**9
"""Pairs of rows from which ``index="auto"`` takes faiss, where it is installed."""


def knn(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    k: int = 20,
    temperature: float = 0.07,
    index: Index = "auto",
    exclude_self: bool = False,
) -> float:
    """Accuracy, in [0, 1], of the weighted kNN classifier of Wu et al. 2018, used by DINO and many others.

    score_c = sum over the k neighbours j of class c of exp(cos_j / temperature); the largest score wins,
    equal scores go to the smallest class. Agrees with facebookresearch/dino eval_knn.py and solo-learn
    utils/knn.py, which expect rows that are already normalised; here rows are normalised inside.

    Args:
        train_x, test_x: (N, D) and (M, D) embeddings of any norm.
        train_y, test_y: (N,) and (M,) classes of any type; a class without training rows counts as wrong.
        k: number of neighbours, at most N. The CIFAR literature uses 200 with temperature 0.5 or 0.1, DINO
            20.
        temperature: positive; small values let the nearest neighbour decide.
        index: ``"exact"`` compares in blocks with NumPy, ``"faiss"`` with a flat (also exact) faiss index,
            ``"auto"`` takes faiss above 10^9 pairs where it is installed. The result does not depend on it,
            except when neighbours at the k-th place are equally near: exact takes the earliest rows.
        exclude_self: ``test_x`` is ``train_x``, and no row may vote for itself.

    Raises:
        ValueError: NaN, lengths or widths that differ, one training class only, k beyond N.
        ImportError: ``index="faiss"`` without faiss (``pip install 'nearfar[search]'``).
    """
    predictions = knn_predict(
        train_x, train_y, test_x, k=k, temperature=temperature, index=index, exclude_self=exclude_self
    )
    truth = class_labels(test_y, "test_y", length=len(predictions))
    return float(np.mean(predictions == truth))


def knn_predict(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    *,
    k: int = 20,
    temperature: float = 0.07,
    index: Index = "auto",
    exclude_self: bool = False,
) -> np.ndarray:
    """The (M,) classes that :func:`knn` compares with the truth; same arguments."""
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    similarity, neighbours = nearest_neighbours(
        test_x, train_x, k, index=index, exclude_self=exclude_self, names=("test_x", "train_x")
    )
    labels = class_labels(train_y, "train_y", classes=2)
    if len(labels) != len(train_x):
        raise ValueError(f"train_y must have {len(train_x)} entries, one per row of train_x, got {len(labels)}")
    classes, codes = np.unique(labels, return_inverse=True)
    # The nearest neighbour has weight 1: exp(1 / 0.07) and its like never overflow.
    weights = np.exp((similarity - similarity[:, :1]).astype(np.float64) / temperature)
    predicted = np.empty(len(similarity), np.int64)
    for rows in tiles(len(similarity), len(classes)):
        cells = np.arange(rows.stop - rows.start)[:, None] * len(classes) + codes[neighbours[rows]]
        votes = np.bincount(cells.ravel(), weights[rows].ravel(), minlength=(rows.stop - rows.start) * len(classes))
        predicted[rows] = votes.reshape(-1, len(classes)).argmax(1)
    return classes[predicted]


def nearest_neighbours(
    queries: Any,
    bank: Any,
    k: int,
    *,
    index: Index = "auto",
    exclude_self: bool = False,
    names: tuple[str, str] = ("queries", "bank"),
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` rows of ``bank`` with the largest cosine to each query.

    Args:
        queries, bank: (M, D) and (N, D) of any norm.
        k: at most N, or N - 1 with ``exclude_self``.
        index: see :func:`knn`.
        exclude_self: row i of ``bank`` is no neighbour of query i (both hold the same examples).
        names: what errors call the two arrays.

    Returns:
        Cosines (M, k) float32 in descending order and row numbers (M, k) int64; equal cosines in row order.
    """
    if len(names) != 2:
        raise ValueError(f"names must be two, of queries and bank, got {names!r}")
    rows = unit_rows(matrix(bank, names[1], dtype=np.float32))
    wanted = unit_rows(matrix(queries, names[0], dtype=np.float32, columns=rows.shape[1]))
    if exclude_self and len(rows) != len(wanted):
        raise ValueError(
            f"exclude_self needs the same examples on both sides, got {len(wanted)} rows of {names[0]} "
            f"and {len(rows)} of {names[1]}"
        )
    k = positive_integer(k, "k", at_most=len(rows) - exclude_self, why=f"the number of rows in {names[1]}")
    if _use_faiss(index, len(rows) * len(wanted)):
        return _search_faiss(wanted, rows, k, exclude_self)
    return search(wanted, rows, k, exclude_self=exclude_self)


def _use_faiss(index: str, pairs: int) -> bool:
    if index not in ("auto", "exact", "faiss"):
        raise ValueError(f"index must be 'auto', 'exact' or 'faiss', got {index!r}")
    if index == "exact" or (index == "auto" and pairs < _LARGE):
        return False
    installed = importlib.util.find_spec("faiss") is not None
    if index == "faiss" and not installed:
        raise ImportError("index='faiss' needs faiss; install it with: pip install 'nearfar[search]'")
    return installed


def _search_faiss(queries: np.ndarray, bank: np.ndarray, k: int, exclude_self: bool) -> tuple[np.ndarray, np.ndarray]:
    import faiss

    flat = faiss.IndexFlatIP(bank.shape[1])
    flat.add(np.ascontiguousarray(bank))
    similarity, neighbours = flat.search(np.ascontiguousarray(queries), k + exclude_self)
    if exclude_self:
        keep = neighbours != np.arange(len(queries))[:, None]
        keep[keep.all(1), -1] = False  # among many duplicates a row may not find itself
        similarity, neighbours = similarity[keep].reshape(-1, k), neighbours[keep].reshape(-1, k)
    return similarity, neighbours
