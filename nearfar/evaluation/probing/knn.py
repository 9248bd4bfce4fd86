"""Weighted k-nearest-neighbour classification: how good are the neighbourhoods, with nothing trained."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import class_labels, matrix, positive_integer, tiles, unit_rows
from nearfar.evaluation.probing._search import search, top_k

Index = Literal["auto", "exact", "faiss"]
Metric = Literal["cosine", "euclidean"]

DISTANCE_FLOOR = 1e-5

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
    metric: Metric = "cosine",
    top: int = 1,
) -> float:
    """Accuracy, in [0, 1], of the weighted kNN classifier of Wu et al. 2018, used by DINO and many others.

    score_c = sum over the k neighbours j of class c of exp(cos_j / temperature); the largest score wins,
    equal scores go to the smallest class. Agrees with facebookresearch/dino eval_knn.py and solo-learn
    utils/knn.py, which expect rows that are already normalised; here rows are normalised inside.

    A class that none of the neighbours has is never among the ``top``; the released code fills the list up with such
    classes in no order, so that its top 5 says more than the neighbours do where these have fewer classes.

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
        metric: ``"euclidean"`` takes the rows as they are and lets neighbours at distance d vote with 1 / (d + 1e-5),
            whatever the temperature, as solo-learn does; ``"auto"`` then compares exactly.
        top: a row is right when its class has one of so many largest scores.

    Raises:
        ValueError: NaN, lengths or widths that differ, one training class only, k beyond N, an unknown metric.
        ImportError: ``index="faiss"`` without faiss (``pip install 'nearfar[search]'``).
    """
    classes, ranked = _ranked(
        train_x, train_y, test_x, k, temperature, index, exclude_self, metric, positive_integer(top, "top")
    )
    truth = class_labels(test_y, "test_y", length=len(ranked))
    return float(np.mean(((classes[ranked] == truth[:, None]) & (ranked >= 0)).any(1)))


def knn_predict(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    *,
    k: int = 20,
    temperature: float = 0.07,
    index: Index = "auto",
    exclude_self: bool = False,
    metric: Metric = "cosine",
) -> np.ndarray:
    """The (M,) classes that :func:`knn` compares with the truth; same arguments."""
    classes, ranked = _ranked(train_x, train_y, test_x, k, temperature, index, exclude_self, metric, 1)
    return classes[ranked[:, 0]]


def _ranked(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    k: int,
    temperature: float,
    index: Index,
    exclude_self: bool,
    metric: Metric,
    top: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The classes, and of each row of ``test_x`` the numbers of its ``top`` best, best first; -1 where none is left."""
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    names = ("test_x", "train_x")
    if metric == "cosine":
        similarity, neighbours = nearest_neighbours(
            test_x, train_x, k, index=index, exclude_self=exclude_self, names=names
        )
        # The nearest neighbour has weight 1: exp(1 / 0.07) and its like never overflow.
        weights = np.exp((similarity - similarity[:, :1]).astype(np.float64) / temperature)
    elif metric == "euclidean":
        distances, neighbours = _nearest_by_distance(test_x, train_x, k, exclude_self, names)
        weights = 1 / (distances + DISTANCE_FLOOR)
    else:
        raise ValueError(f"metric must be 'cosine' or 'euclidean', got {metric!r}")
    labels = class_labels(train_y, "train_y", classes=2)
    if len(labels) != len(train_x):
        raise ValueError(f"train_y must have {len(train_x)} entries, one per row of train_x, got {len(labels)}")
    classes, codes = np.unique(labels, return_inverse=True)
    top = min(top, len(classes))
    ranked = np.empty((len(neighbours), top), np.int64)
    for rows in tiles(len(neighbours), len(classes)):
        cells = np.arange(rows.stop - rows.start)[:, None] * len(classes) + codes[neighbours[rows]]
        votes = np.bincount(cells.ravel(), weights[rows].ravel(), minlength=(rows.stop - rows.start) * len(classes))
        votes = votes.reshape(-1, len(classes))
        best = votes.argmax(1)[:, None] if top == 1 else top_k(votes, top)
        present = np.zeros(votes.size, bool)
        present[cells.ravel()] = True
        ranked[rows] = np.where(np.take_along_axis(present.reshape(votes.shape), best, 1), best, -1)
    return classes, ranked


def _nearest_by_distance(
    queries: Any, bank: Any, k: int, exclude_self: bool, names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (M, k) float64, ascending up to rounding, and rows of the ``k`` nearest rows of ``bank``."""
    rows = matrix(bank, names[1])
    wanted = matrix(queries, names[0], columns=rows.shape[1])
    k = _neighbours(k, len(wanted), len(rows), exclude_self, names)
    # The nearest has the largest x.y - |y|^2 / 2; a common shift keeps the squares small.
    middle = rows.mean(0)
    rows, wanted = rows - middle, wanted - middle
    lifted = np.concatenate([rows, -(rows**2).sum(1, keepdims=True) / 2], 1)
    asked = np.concatenate([wanted, np.ones((len(wanted), 1))], 1)
    _, neighbours = search(asked, lifted, k, exclude_self=exclude_self)
    distances = np.empty(neighbours.shape)
    for part in tiles(len(wanted), k * rows.shape[1]):
        distances[part] = np.linalg.norm(wanted[part, None] - rows[neighbours[part]], axis=2)
    return distances, neighbours


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
    k = _neighbours(k, len(wanted), len(rows), exclude_self, names)
    if _use_faiss(index, len(rows) * len(wanted)):
        return _search_faiss(wanted, rows, k, exclude_self)
    return search(wanted, rows, k, exclude_self=exclude_self)


def _neighbours(k: int, queries: int, bank: int, exclude_self: bool, names: tuple[str, str]) -> int:
    """``k``, checked against the rows of both sides."""
    if exclude_self and bank != queries:
        raise ValueError(
            f"exclude_self needs the same examples on both sides, got {queries} rows of {names[0]} "
            f"and {bank} of {names[1]}"
        )
    return positive_integer(k, "k", at_most=bank - exclude_self, why=f"the number of rows in {names[1]}")


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
