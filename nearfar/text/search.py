"""The best passages for queries, by a finished run, and again by a second one that reads fewer and better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nearfar.evaluation import nearest_neighbours
from nearfar.text.data.retrieval import Texts
from nearfar.text.mining import vectors
from nearfar.training import Method


class Ranked(NamedTuple):
    """Rows of the passages (Q, k), best first, and their scores (Q, k)."""

    rows: np.ndarray
    scores: np.ndarray


def search(method: Method, passages: Sequence[str], queries: Sequence[str], k: int) -> Ranked:
    """The ``k`` passages nearest to each query by cosine, or all where there are fewer. Equal ones are in their order.

    Raises:
        ValueError: no passage or no query.
    """
    if not passages or not queries:
        raise ValueError(f"searching needs passages and queries, got {len(passages)} and {len(queries)}")
    with method.frozen():
        found, asked = vectors(method.encode, passages).numpy(), vectors(method.encode, queries).numpy()
    scores, rows = nearest_neighbours(asked, found, min(k, len(passages)), names=("queries", "passages"))
    return Ranked(rows, scores)


def reranked(method: Method, passages: Sequence[str], queries: Sequence[str], first: Ranked) -> Ranked:
    """The same passages of each query in the order of another system: one that ``ranks`` lists, or that ``embeds``."""
    lists = [[passages[row] for row in rows] for rows in first.rows]
    with method.frozen():
        if "ranks" in method.verbs:
            order, scores = method.rank((queries, lists), first.rows.shape[1])  # type: ignore[operator]
        else:
            order, scores = _by_cosine(method, queries, lists)
    return Ranked(np.take_along_axis(first.rows, order, 1), scores)


def _by_cosine(method: Method, queries: Sequence[str], lists: Sequence[Sequence[str]]) -> tuple[Any, Any]:
    texts = [*dict.fromkeys(text for each in lists for text in each)]
    place = {text: row for row, text in enumerate(texts)}
    found, asked = vectors(method.encode, texts), vectors(method.encode, queries)
    unit = found / found.norm(dim=1, keepdim=True).clamp_min(1e-12)
    asked = asked / asked.norm(dim=1, keepdim=True).clamp_min(1e-12)
    scores = np.stack([(unit[[place[t] for t in each]] @ asked[row]).numpy() for row, each in enumerate(lists)])
    order = np.argsort(-scores, axis=1, kind="stable")
    return order, np.take_along_axis(scores, order, 1)


def columns_of(passages: Texts, queries: Texts, found: Ranked) -> dict[str, list[Any]]:
    """A ranking as a table: ``query``, ``passage`` (their ids), ``rank`` from 1, ``score``."""
    wide = found.rows.shape[1]
    return {
        "query": [name for name in queries.ids for _ in range(wide)],
        "passage": [passages.ids[row] for row in found.rows.ravel()],
        "rank": [rank + 1 for _ in queries.ids for rank in range(wide)],
        "score": [float(score) for score in found.scores.ravel()],
    }
