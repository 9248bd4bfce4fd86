"""Ranking documents for queries: recall, precision, MRR, mAP, nDCG, and retrieval across modalities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import class_labels, matrix, positive_integer, tiles, to_numpy, unit_rows
from nearfar.evaluation.ranking._relevance import relevance_rows

Gain = Literal["linear", "exponential"]


def retrieval(
    scores: Any,
    relevance: Any,
    *,
    ks: Sequence[int] = (1, 5, 10),
    gain: Gain = "linear",
    similarity: Literal["cosine", "dot"] = "cosine",
    query_ids: Any = None,
    document_ids: Any = None,
) -> dict[str, float]:
    """Rank all documents for every query and average the measures over queries with a relevant document.

    With ranks r_1 < r_2 < ... of the R relevant documents (grades g), from 1:

    ===================== ===================================================================================
    ``hit@k``             share of queries with a relevant document in the first k: the "Recall@k" of metric
                          learning and of image-text retrieval
    ``recall@k``          relevant documents in the first k / R: the Recall@k of information retrieval
    ``precision@k``       relevant documents in the first k / k
    ``mrr``, ``mrr@k``    1 / r_1, and 0 where r_1 > k
    ``map``               average precision: sum_i (i / r_i) / R over *all* relevant documents
    ``map@r``             the same over r_i <= R only, / R (Musgrave et al. 2020)
    ``r_precision``       relevant documents in the first R / R
    ``ndcg``, ``ndcg@k``  DCG / ideal DCG, with DCG = sum gain / log2(r + 1)
    ``median_rank``       median over queries of r_1
    ``queries``           number of queries that have a relevant document; the others are left out
    ===================== ===================================================================================

    Agrees with trec_eval (``ndcg_cut``, ``map``, ``recip_rank``, ``P``, ``recall``, ``Rprec``), with
    pytorch-metric-learning's AccuracyCalculator (``precision@1``, ``map@r``, ``r_precision``) and, for hit,
    recall, precision, MRR and nDCG, with sentence-transformers' InformationRetrievalEvaluator, whose MAP@k
    divides by min(R, k) instead. This is full ranking: numbers from ranking against a few sampled negatives
    are higher and must not be compared.

    Args:
        scores: (Q, M), high is better, ``-inf`` for a document that must not be found; or a pair
            ``(queries (Q, D), documents (M, D))`` of embeddings, compared in tiles.
        relevance: a (Q, M) array or SciPy sparse matrix of grades (0 is irrelevant); a pair of label vectors
            ``(query labels (Q,), document labels (M,))``, equal ones being relevant; or a mapping
            ``query id -> {document id: grade}`` or ``query id -> document ids``.
        ks: cut-offs, each at most M.
        gain: of a grade g: ``"linear"`` g, as in trec_eval, or ``"exponential"`` 2^g - 1, as in web search.
        similarity: of embeddings: ``"cosine"``, or ``"dot"`` for methods trained without normalisation.
        query_ids, document_ids: (Q,) and (M,) identifiers. With both, a document never answers the query of
            the same id (searching a set within itself), and equal scores rank by document id; otherwise equal
            scores rank by position, and nothing is excluded.

    Raises:
        ValueError: NaN, shapes that do not agree, negative grades, repeated document ids, k beyond M, or no
            query with a relevant document.
    """
    blocks, queries, documents = _blocks(scores, similarity)
    cuts = [positive_integer(k, "ks", at_most=documents, why="the number of documents") for k in ks]
    if gain not in ("linear", "exponential"):
        raise ValueError(f"gain must be 'linear' or 'exponential', got {gain!r}")
    if (query_ids is None) != (document_ids is None):
        raise ValueError("query_ids and document_ids must be given together")
    asking = _ids(query_ids, "query_ids", queries)
    offered = _ids(document_ids, "document_ids", documents)
    if len(np.unique(offered)) < documents:
        raise ValueError("document_ids must all be different")
    relevant_of = relevance_rows(relevance, queries, documents, asking, offered)
    own_column = {} if document_ids is None else {name: j for j, name in enumerate(offered.tolist())}
    priority = np.argsort(np.argsort(offered, kind="stable"), kind="stable")

    measured: dict[str, list[float]] = {}
    for first, block in blocks:
        for i, row in enumerate(block, start=first):
            columns, grades = relevant_of(i)
            own = own_column.get(asking[i].item())
            if own is not None:
                row[own] = -np.inf
                columns, grades = columns[columns != own], grades[columns != own]
            if len(columns):
                ranks, order = _ranks(row, columns, priority)
                for name, value in _measures(ranks, grades[order], cuts, gain).items():
                    measured.setdefault(name, []).append(value)
    if not measured:
        raise ValueError("relevance must give at least one query a relevant document")
    result = {name: float(np.mean(values)) for name, values in measured.items() if name != "first_rank"}
    result["median_rank"] = float(np.median(measured["first_rank"]))
    result["queries"] = float(len(measured["first_rank"]))
    return result


def paired_retrieval(a: Any, b: Any, *, ks: Sequence[int] = (1, 5, 10), owner: Any = None) -> dict[str, float]:
    """Retrieval between two modalities, in both directions, as in COCO and Flickr30k tables.

    A query hits when *any* of its partners is in the first k by cosine. Of five captions of an image any
    counts (a → b); each caption is a query of its own for its one image (b → a).

    Args:
        a: (N, D), for instance images.
        b: (M, D), for instance captions.
        ks: cut-offs, at most the smaller of N and M.
        owner: (M,) row of ``a`` that each row of ``b`` belongs to; row i to row i unless given.

    Returns:
        ``a_to_b@k`` and ``b_to_a@k`` in [0, 1], ``a_to_b_median_rank``, ``b_to_a_median_rank``, and ``rsum``,
        the sum of all hits in percent (0 to 600 with three cut-offs). Rows of ``a`` without partner do not
        ask.

    Raises:
        ValueError: NaN, widths that differ, ``owner`` missing when N ≠ M or out of range.
    """
    left = matrix(a, "a", dtype=np.float32)
    right = matrix(b, "b", dtype=np.float32, columns=left.shape[1])
    if owner is None:
        if len(left) != len(right):
            raise ValueError(
                f"a and b must be paired row by row, got {len(left)} and {len(right)} rows; "
                "say with owner which row of a each row of b belongs to"
            )
        owner = np.arange(len(left))
    owner = class_labels(owner, "owner", length=len(right))
    if owner.dtype.kind not in "iu" or owner.min() < 0 or owner.max() >= len(left):
        raise ValueError(f"owner must hold row numbers of a, 0..{len(left) - 1}, got {owner.min()} to {owner.max()}")
    rows = np.arange(len(left))
    forth = retrieval((left, right), (rows, owner), ks=ks)
    back = retrieval((right, left), (owner, rows), ks=ks)
    result = {f"a_to_b@{k}": forth[f"hit@{k}"] for k in ks} | {f"b_to_a@{k}": back[f"hit@{k}"] for k in ks}
    rsum = 100 * sum(result.values())
    medians = {"a_to_b_median_rank": forth["median_rank"], "b_to_a_median_rank": back["median_rank"]}
    return result | medians | {"rsum": rsum}


def _blocks(scores: Any, similarity: str) -> tuple[Iterator[tuple[int, np.ndarray]], int, int]:
    """Blocks of (first query, writable scores), and the numbers of queries and documents."""
    if similarity not in ("cosine", "dot"):
        raise ValueError(f"similarity must be 'cosine' or 'dot', got {similarity!r}")
    if not isinstance(scores, tuple):
        given = to_numpy(scores, "scores")
        if given.ndim != 2 or given.size == 0 or given.dtype.kind not in "biuf":
            raise ValueError(f"scores must be numbers of shape (queries, documents), got shape {given.shape}")
        if given.dtype.kind != "f" or given.itemsize < 4:
            given = given.astype(np.float64)
        if np.isnan(given).any():
            raise ValueError("scores must not contain NaN")
        return ((t.start, given[t].copy()) for t in tiles(*given.shape)), *given.shape
    if len(scores) != 2:
        raise ValueError(f"scores given as a tuple must be (queries, documents), got {len(scores)} parts")
    documents = matrix(scores[1], "documents", dtype=np.float32)
    queries = matrix(scores[0], "queries", dtype=np.float32, columns=documents.shape[1])
    if similarity == "cosine":
        queries, documents = unit_rows(queries), unit_rows(documents)
    parts = tiles(len(queries), len(documents))
    return ((t.start, queries[t] @ documents.T) for t in parts), len(queries), len(documents)


def _ids(given: Any, name: str, length: int) -> np.ndarray:
    return np.arange(length) if given is None else class_labels(given, name, length=length)


def _ranks(row: np.ndarray, columns: np.ndarray, priority: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending ranks, from 1, of ``columns`` among all, and the order of ``columns`` that they are in."""
    ascending = np.sort(row)
    above = len(row) - np.searchsorted(ascending, row[columns], side="right")
    tied = len(row) - np.searchsorted(ascending, row[columns], side="left") - above > 1
    ranks = above + 1
    if tied.any():
        place = np.empty(len(row), np.int64)
        place[np.lexsort((priority, -row))] = np.arange(1, len(row) + 1)
        ranks = place[columns]
    order = np.argsort(ranks)
    return ranks[order], order


def _measures(ranks: np.ndarray, grades: np.ndarray, ks: Sequence[int], gain: str) -> dict[str, float]:
    """All measures of one query from its relevant documents: ascending ``ranks``, ``grades``."""
    total = len(ranks)
    nth = np.arange(1, total + 1)
    worth = grades if gain == "linear" else np.exp2(grades) - 1
    discounted, ideal = worth / np.log2(ranks + 1), -np.sort(-worth) / np.log2(nth + 1)
    precision = nth / ranks
    within = int(np.searchsorted(ranks, total, side="right"))
    result = {
        "mrr": 1 / ranks[0],
        "map": precision.mean(),
        "map@r": precision[:within].sum() / total,
        "r_precision": within / total,
        "ndcg": discounted.sum() / ideal.sum(),
        "first_rank": ranks[0],
    }
    for k in ks:
        found = int(np.searchsorted(ranks, k, side="right"))
        result[f"hit@{k}"] = float(found > 0)
        result[f"recall@{k}"] = found / total
        result[f"precision@{k}"] = found / k
        result[f"mrr@{k}"] = 1 / ranks[0] if found else 0.0
        result[f"ndcg@{k}"] = discounted[:found].sum() / ideal[:k].sum()
    return result
