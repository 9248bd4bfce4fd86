"""Graphs among users and among items: who resembles whom, and who was chosen together."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize


def resembling(x: np.ndarray, k: int) -> Any:
    """(N, N): each row's ``k`` nearest by cosine, itself among them, with ``cosine / k`` as the value (REARM).

    The value is the similarity scaled by the roots of both degrees, which are k for every row. Rows are taken in
    blocks, so that memory is linear in N.
    """
    unit = normalize(np.asarray(x, dtype=np.float64))
    k = min(k, len(unit))
    rows, columns, values = [], [], []
    for first in range(0, len(unit), 1024):
        near = unit[first : first + 1024] @ unit.T
        best = np.argpartition(-near, k - 1, axis=1)[:, :k]
        rows.append(np.repeat(np.arange(first, first + len(near)), k))
        columns.append(best.ravel())
        values.append(np.take_along_axis(near, best, 1).ravel() / (k + 1e-7))
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(parts, (len(unit), len(unit)))


def together(chosen: Any, k: int) -> Any:
    """(N, N): for each row of a matrix of choices the ``k`` others that it shares most with, weighted by a softmax of
    the numbers shared. Rows that share nothing with anybody point to the ``k`` of most choices, with equal weights.

    Args:
        chosen: SciPy (N, M).
        k: how many.
    """
    counts = (chosen @ chosen.T).tolil()
    counts.setdiag(0)
    counts = counts.tocsr()
    counts.eliminate_zeros()
    size = counts.shape[0]
    k = min(k, size - 1)
    popular = np.argsort(-np.asarray(chosen.sum(1)).ravel(), kind="stable")[:k]
    rows, columns, values = [], [], []
    for row in range(size):
        part = slice(counts.indptr[row], counts.indptr[row + 1])
        others, shared = counts.indices[part], counts.data[part]
        if not len(others):
            others, shared = popular, np.zeros(k)
        best = np.argsort(-shared, kind="stable")[:k]
        weight = np.exp(shared[best] - shared[best].max())
        rows.append(np.full(len(best), row))
        columns.append(others[best])
        values.append(weight / weight.sum())
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(parts, (size, size))
