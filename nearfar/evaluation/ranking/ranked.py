"""Ranked lists by ids against judgements by ids, as trec_eval reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nearfar.evaluation._arrays import positive_integer


def ranked_retrieval(
    ranked: Mapping[str, Sequence[str]],
    relevance: Mapping[str, Mapping[str, float]],
    *,
    ks: Sequence[int] = (1, 10, 100),
) -> dict[str, float]:
    """Measures of lists that end somewhere, averaged over the queries that have a relevant document.

    What a list does not hold was not found: its reciprocal rank, gain and precision are 0. A query without a list
    counts as one whose list is empty. Gains are the grades themselves, as in trec_eval, whose numbers these are
    (``ndcg_cut``, ``recall``, ``P``, ``map``, and ``recip_rank`` of the first k). Where scores of all documents are at
    hand use :func:`nearfar.evaluation.retrieval`, which ranks them.

    Args:
        ranked: ``query id -> document ids``, best first, none twice.
        relevance: ``query id -> {document id: grade}``, grades of at least 0.
        ks: cut-offs, each at least 1.

    Returns:
        ``ndcg@k``, ``recall@k``, ``precision@k``, ``mrr@k`` and ``map`` in [0, 1], and the number of ``queries``.

    Raises:
        ValueError: a document twice in a list, a grade below 0, or no query with a relevant document.
    """
    cuts = [positive_integer(k, "ks") for k in ks]
    rows: list[dict[str, float]] = []
    for query, judged in relevance.items():
        if any(not grade >= 0 for grade in judged.values()):
            raise ValueError(f"grades of query {query!r} must be at least 0")
        ideal = -np.sort([-grade for grade in judged.values() if grade > 0])
        if len(ideal) == 0:
            continue
        found = [*ranked.get(query, ())]
        if len(set(found)) < len(found):
            raise ValueError(f"the list of query {query!r} names a document twice")
        rows.append(_measured(np.array([judged.get(name, 0.0) for name in found], float), ideal, cuts))
    if not rows:
        raise ValueError("relevance must give at least one query a relevant document")
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]} | {"queries": float(len(rows))}


def _measured(gains: np.ndarray, ideal: np.ndarray, cuts: Sequence[int]) -> dict[str, float]:
    """All measures of one query from the grades down its list and all grades, best first."""
    places = np.flatnonzero(gains > 0)
    discount = 1 / np.log2(np.arange(max(len(gains), len(ideal))) + 2)
    result = {"map": float((np.arange(1, len(places) + 1) / (places + 1)).sum() / len(ideal))}
    for k in cuts:
        hits = float((places < k).sum())
        best = float((ideal[:k] * discount[: len(ideal[:k])]).sum())
        result[f"ndcg@{k}"] = float((gains[:k] * discount[: len(gains[:k])]).sum()) / best
        result[f"recall@{k}"], result[f"precision@{k}"] = hits / len(ideal), hits / k
        result[f"mrr@{k}"] = 1 / (places[0] + 1) if hits else 0.0
    return result
