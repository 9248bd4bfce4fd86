"""Which documents answer which query, in any of the forms people keep it in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nearfar.evaluation._arrays import class_labels, to_numpy

Row = tuple[np.ndarray, np.ndarray]
"""Columns of the relevant documents of one query in ascending order, and their positive grades."""


def relevance_rows(
    relevance: Any, queries: int, documents: int, query_ids: np.ndarray, document_ids: np.ndarray
) -> Callable[[int], Row]:
    """A function from query number to its relevant documents, whatever ``relevance`` is given as."""
    if isinstance(relevance, tuple):
        return _by_label(relevance, queries, documents)
    if isinstance(relevance, Mapping):
        return _by_id(relevance, query_ids, document_ids)
    if hasattr(relevance, "tocsr"):
        sparse = relevance.tocsr()
        sparse.sum_duplicates()
        _check(sparse.shape, sparse.data, queries, documents)

        def from_sparse(i: int) -> Row:
            part = slice(sparse.indptr[i], sparse.indptr[i + 1])
            return _positive(sparse.indices[part], sparse.data[part])

        return from_sparse
    dense = to_numpy(relevance, "relevance")
    _check(dense.shape, dense, queries, documents)

    def from_dense(i: int) -> Row:
        columns = np.flatnonzero(dense[i])
        return _positive(columns, dense[i, columns])

    return from_dense


def _check(shape: tuple[int, ...], grades: np.ndarray, queries: int, documents: int) -> None:
    if shape != (queries, documents):
        raise ValueError(f"relevance must have shape ({queries}, {documents}), queries by documents, got {shape}")
    if grades.dtype.kind not in "biuf" or (grades.size and not np.min(grades) >= 0) or not np.isfinite(grades).all():
        raise ValueError("relevance must hold booleans or finite grades of at least 0")


def _positive(columns: np.ndarray, grades: np.ndarray) -> Row:
    keep = grades > 0
    order = np.argsort(columns[keep])
    return columns[keep][order].astype(np.int64), grades[keep][order].astype(np.float64)


def _by_label(pair: tuple[Any, ...], queries: int, documents: int) -> Callable[[int], Row]:
    if len(pair) != 2:
        raise ValueError(f"relevance given as a tuple must be (query labels, document labels), got {len(pair)} parts")
    wanted = class_labels(pair[0], "query labels", length=queries)
    offered = class_labels(pair[1], "document labels", length=documents)
    classes, codes = np.unique(offered, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    members = dict(zip(classes.tolist(), groups, strict=True))
    nobody = np.empty(0, np.int64)

    def of_same_label(i: int) -> Row:
        columns = members.get(wanted[i].item(), nobody)
        return columns, np.ones(len(columns))

    return of_same_label


def _by_id(
    judged: Mapping[Any, Mapping[Any, float] | Iterable[Any]], query_ids: np.ndarray, document_ids: np.ndarray
) -> Callable[[int], Row]:
    column_of = {name: j for j, name in enumerate(document_ids.tolist())}
    names = query_ids.tolist()

    def judged_for(i: int) -> Row:
        found = judged.get(names[i], {})
        grades = dict(found) if isinstance(found, Mapping) else dict.fromkeys(found, 1.0)
        unknown = [name for name in grades if name not in column_of]
        if unknown:
            raise ValueError(
                f"relevance of query {names[i]!r} names documents that are not in document_ids: {unknown[:5]}"
            )
        values = np.array(list(grades.values()), np.float64)
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"relevance of query {names[i]!r} must hold finite grades of at least 0")
        return _positive(np.array([column_of[name] for name in grades], np.int64), values)

    return judged_for
