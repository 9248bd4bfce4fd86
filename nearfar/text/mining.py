"""Hard negatives for retrieval: near a query by a teacher, and not so near that they are probably right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.text.data.retrieval import positive_rows

__all__ = ["Mined", "Mining", "mine_hard_negatives", "mined_negatives", "vectors"]

BLOCK_ENTRIES = 1 << 24


@dataclass(frozen=True)
class Mining:
    """How hard negatives are chosen; see :func:`mine_hard_negatives`.

    Args:
        count: negatives of each query.
        percentage: TopK-PercPos: the largest share of the positive's score; none when not given.
        margin: TopK-MarginPos: by how much the positive's score is larger, at least.
        max_score: TopK-Abs: the largest score.
        min_score: the smallest score.
        shift: how many of the nearest that are left are skipped.
        pool: draw from so many of the nearest that are left, instead of the first.
    """

    count: int = 4
    percentage: float | None = 0.95
    margin: float | None = None
    max_score: float | None = None
    min_score: float | None = None
    shift: int = 0
    pool: int | None = None


class Mined(NamedTuple):
    """Rows of the corpus (Q, k) int64, -1 where there are too few, and the teacher's scores (Q, k), NaN there."""

    rows: Tensor
    scores: Tensor


def mine_hard_negatives(
    queries: Tensor,
    corpus: Tensor,
    positives: Sequence[Sequence[int]],
    *,
    count: int = 4,
    percentage: float | None = 0.95,
    margin: float | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    shift: int = 0,
    pool: int | None = None,
    generator: torch.Generator | None = None,
) -> Mined:
    """The positive-aware rules of NV-Retriever (Moreira et al. 2024, arXiv 2407.15831, section 3).

    Candidates of a query are all passages but its positives, by falling cosine. Each rule that is given drops some;
    then the first ``shift`` of those left are skipped, and the next ``count`` taken. With ``s`` the *smallest* score of
    the query's own positives, a candidate stays

    - by ``percentage`` (TopK-PercPos, the paper's best): up to ``percentage * s``. Where ``s`` is negative that would
      be above it, so the bound is then ``s - (1 - percentage) * |s|``;
    - by ``margin`` (TopK-MarginPos): up to ``s - margin``;
    - by ``max_score`` (TopK-Abs) and ``min_score``: within these, whatever ``s`` is.

    Naive mining is ``percentage=None``. Equality keeps a candidate. Every passage is considered; the implementation in
    sentence-transformers looks at the best few tens only, and takes the thresholds of a query from others where numbers
    of positives differ. Similarities are made for some queries at a time, so memory does not grow with their number.

    Args:
        queries: (Q, D), the teacher's embeddings.
        corpus: (N, D), those of the passages.
        positives: for each query the rows of its right passages, at least one; name those of equal texts too.
        count: negatives of each query, at least 1.
        percentage, margin, max_score, min_score: the rules; those that are ``None`` are not applied.
        shift: how many of the nearest that are left are skipped.
        pool: draw the negatives from so many of the nearest that are left (after the shift) instead of the first.
        generator: of these draws.

    Raises:
        ValueError: shapes or numbers that do not fit, a query without a positive, or a row that the corpus has not.
    """
    if queries.ndim != 2 or corpus.ndim != 2 or queries.shape[1] != corpus.shape[1]:
        raise ValueError(
            f"queries and corpus are (Q, D) and (N, D), got {tuple(queries.shape)} and {tuple(corpus.shape)}"
        )
    if count < 1 or shift < 0 or (pool is not None and pool < count):
        raise ValueError(f"count must be at least 1, shift 0 and pool {count}; got {count}, {shift} and {pool}")
    if len(positives) != len(queries):
        raise ValueError(f"positives has {len(positives)} entries for {len(queries)} queries")
    for query, rows in enumerate(positives):
        if len(rows) == 0 or min(rows) < 0 or max(rows) >= len(corpus):
            raise ValueError(f"the positives of query {query} must be rows from 0 to {len(corpus) - 1}, got {[*rows]}")
    queries, corpus = F.normalize(queries), F.normalize(corpus)
    wanted = min(shift + (pool or count), len(corpus))
    found = []
    for start in range(0, len(queries), step := max(1, BLOCK_ENTRIES // max(len(corpus), 1))):
        scores = queries[start : start + step] @ corpus.t()
        own = positives[start : start + step]
        least = torch.stack([scores[row, [*rows]].min() for row, rows in enumerate(own)])
        for row, rows in enumerate(own):
            scores[row, [*rows]] = -torch.inf
        bounds = [torch.full_like(least, torch.inf if max_score is None else max_score)]
        bounds += [least - (1 - percentage) * least.abs()] if percentage is not None else []
        bounds += [least - margin] if margin is not None else []
        scores[scores > torch.stack(bounds).amin(0).unsqueeze(1)] = -torch.inf
        if min_score is not None:
            scores[scores < min_score] = -torch.inf
        found.append(_chosen(*scores.topk(wanted, 1), count, shift, pool, generator))
    if not found:
        return Mined(torch.empty(0, count, dtype=torch.long), torch.empty(0, count))
    return Mined(*(torch.cat(part) for part in zip(*found, strict=True)))


def mined_negatives(
    encode: Callable[[Sequence[str]], Tensor],
    queries: Sequence[str],
    positives: Sequence[str],
    corpus: Sequence[str] = (),
    rules: Mining = Mining(),
    *,
    generator: torch.Generator | None = None,
) -> tuple[list[list[str | None]], Mined]:
    """Hard negatives of queries in words: for each query ``rules.count`` texts, ``None`` where there are too few.

    Equal texts are one passage, and a query that is there several times has all its positives. A passage of the same
    words as the query is no negative of it.

    Args:
        encode: the teacher, texts to (N, D).
        queries, positives: Q texts each.
        corpus: further passages.
        generator: of draws from a pool.
    """
    passages = [*dict.fromkeys([*positives, *corpus])]
    own = positive_rows(queries, positives, passages)
    asked = [*dict.fromkeys(queries)]
    place = {query: row for row, query in enumerate(asked)}
    first = {query: own[row] for row, query in reversed([*enumerate(queries)])}
    found = mine_hard_negatives(
        vectors(encode, asked),
        vectors(encode, passages),
        [first[query] for query in asked],
        generator=generator,
        **vars(rules),
    )
    rows = torch.tensor([place[query] for query in queries], dtype=torch.long)
    found = Mined(found.rows[rows], found.scores[rows])
    return [[passages[row] if row >= 0 else None for row in each] for each in found.rows.tolist()], found


def vectors(encode: Callable[[Sequence[str]], Tensor], texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
    """Embeddings (N, D) float32 of texts on the processor, made some at a time, without gradients."""
    with torch.no_grad():
        parts = [encode(texts[start : start + batch_size]).float().cpu() for start in range(0, len(texts), batch_size)]
    return torch.cat(parts)


def _chosen(
    scores: Tensor, rows: Tensor, count: int, shift: int, pool: int | None, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """``count`` of each row's ranking (Q, K) after the shift, absent ones marked."""
    scores, rows = scores[:, shift:], rows[:, shift:]
    if pool is not None and scores.shape[1]:
        lots = torch.rand(scores.shape, generator=generator, device=scores.device)
        drawn = lots.masked_fill(scores.isneginf(), -1.0).topk(min(count, scores.shape[1]), 1).indices
        drawn = drawn.sort(1).values
        scores, rows = scores.gather(1, drawn), rows.gather(1, drawn)
    missing = max(0, count - scores.shape[1])
    scores, rows = F.pad(scores, (0, missing), value=-torch.inf)[:, :count], F.pad(rows, (0, missing))[:, :count]
    absent = scores.isneginf()
    return rows.masked_fill(absent, -1), scores.masked_fill(absent, torch.nan)
