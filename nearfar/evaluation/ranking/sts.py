"""Semantic textual similarity: do cosines order pairs as people do?"""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import matrix, unit_rows, vector


def spearman(a: Any, b: Any) -> float:
    """Spearman correlation in [-1, 1]: Pearson correlation of ranks, equal values sharing their average rank.

    Args:
        a, b: (N,) with N at least 2, neither constant.

    Raises:
        ValueError: different lengths, not finite, fewer than two values, or a constant (correlation
            undefined).
    """
    first = vector(a, "a")
    second = vector(b, "b", length=len(first))
    return float(np.corrcoef(_ranks(first, "a"), _ranks(second, "b"))[0, 1])


def sts(u: Any, v: Any, gold: Any) -> float:
    """100 · Spearman( cos(u_i, v_i), gold_i ), the number of STS tables, in [-100, 100].

    Equals ``cosine_spearman`` (times 100) of sentence-transformers' EmbeddingSimilarityEvaluator and MTEB.
    For SimCSE's "all" setting concatenate every subset of a year before calling: it is one correlation, not a
    mean.

    Args:
        u, v: (N, D) embeddings of the two sides.
        gold: (N,) human scores, in any increasing unit.

    Raises:
        ValueError: shapes that do not agree, values that are not finite, or constant cosines or scores.
    """
    left = matrix(u, "u")
    right = matrix(v, "v", columns=left.shape[1], rows=len(left))
    cosines = np.einsum("nd,nd->n", unit_rows(left), unit_rows(right))
    scores = vector(gold, "gold", length=len(left))
    correlation = np.corrcoef(_ranks(cosines, "cos(u, v)"), _ranks(scores, "gold"))[0, 1]
    return 100 * float(correlation)


def sts_outcomes(u: Any, v: Any, gold: Any) -> np.ndarray:
    """(N,) what each pair adds to :func:`sts`, which is their mean: for intervals over pairs.

    Of the standardised ranks a and b and their correlation r it is 100 (r + a b - r (a² + b²) / 2), the correlation
    with its influence function; that the ranks themselves come from the pairs is left out of it.
    """
    left = matrix(u, "u")
    right = matrix(v, "v", columns=left.shape[1], rows=len(left))
    cosines = np.einsum("nd,nd->n", unit_rows(left), unit_rows(right))
    scores = vector(gold, "gold", length=len(left))
    a, b = ((r - r.mean()) / r.std() for r in (_ranks(cosines, "cos(u, v)"), _ranks(scores, "gold")))
    r = float((a * b).mean())
    return 100 * (r + a * b - r * (a**2 + b**2) / 2)


def _ranks(values: np.ndarray, name: str) -> np.ndarray:
    distinct, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise ValueError(f"{name} must hold at least two different values, or no order can be compared")
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[codes]
