"""What is measured on sentences: similarity against people's judgement, retrieval, the same intent, geometry."""

from __future__ import annotations

import numpy as np

from nearfar.evaluation import GEOMETRY, effective_rank, feature_std, knn_predict, retrieval, uniformity
from nearfar.evaluation.ranking.sts import sts_outcomes
from nearfar.sources.labels import classed_rows
from nearfar.system import Scores
from nearfar.text.data.chains import Chains
from nearfar.text.data.retrieval import Passages
from nearfar.text.data.sentences import Sentences
from nearfar.training import Data, Method, embed


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Scores of every held-out set, or of the data itself when it has none.

    ``sts <set>`` is 100 times the Spearman correlation of cosine and gold similarity over all pairs;
    ``ndcg@10 <set>``, ``mrr@10``, ``recall@k`` (k the smaller of 100 and the passages) and ``map`` are of all passages
    of the set ranked for its queries by cosine; ``1-nn <set>`` is the share of sentences whose nearest of the other
    half (drawn from ``seed``) has their label; ``order <set>`` is the mean over lists of Kendall's correlation between
    the cosines of a list's sentences with its first and their places, 1 where every next one is farther away.
    Geometry (``effective_rank``, ``uniformity``, ``std``) is that of the first set.
    """
    sets = dict(data.splits()) or {"data": data}
    scores = Scores(neither=GEOMETRY)
    for name, held_out in sets.items():
        pairs = getattr(held_out, "pairs", None)
        if pairs is not None:
            left, right = (embed(method, Sentences(side)).array for side in pairs[:2])
            scores.over(f"sts {name}", sts_outcomes(left, right, np.asarray(pairs[2])))
        found = embed(method, held_out)
        if isinstance(held_out, Chains):
            scores[f"order {name}"] = order_of_chains(method, held_out)
        if isinstance(held_out, Passages):
            for what, value in ranked(method, held_out, found.array).items():
                scores[f"{what} {name}"] = value
        rows = classed_rows(found.labels, name)
        if found.labels is not None and len(rows):
            order = rows[np.random.default_rng(seed).permutation(len(rows))]
            bank, queries = order[: len(order) // 2], order[len(order) // 2 :]
            x, y = found.array, found.labels
            scores.over(f"1-nn {name}", knn_predict(x[bank], y[bank], x[queries], k=1) == y[queries])
        if "uniformity" not in scores:
            sample = found.array[:2048]
            scores["uniformity"] = uniformity(sample)
            scores["effective_rank"] = effective_rank(sample)
            scores["std"] = feature_std(sample, relative=True)
    return scores


def order_of_chains(method: Method, held_out: Chains) -> float:
    """How well cosines with a list's first sentence know the order of the others."""
    from scipy.stats import kendalltau

    found, first = embed(method, Sentences([s for chain in held_out.chains for s in chain])).array, 0
    vectors = found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-12)
    agreed = []
    for chain in held_out.chains:
        cosines = vectors[first + 1 : first + len(chain)] @ vectors[first]
        first += len(chain)
        if len(cosines) > 1:
            correlation = kendalltau(cosines, -np.arange(len(cosines))).statistic
            agreed.append(0.0 if np.isnan(correlation) else correlation)
    return float(np.mean(agreed)) if agreed else 0.0


def ranked(method: Method, held_out: Passages, passages: np.ndarray) -> dict[str, float]:
    """Measures of retrieval from the passages' embeddings (N, D)."""
    queries = embed(method, Sentences(held_out.queries.texts)).array
    ks = [min(k, len(passages)) for k in (10, 100)]
    found = retrieval(
        (queries, passages),
        held_out.relevance,
        ks=[*dict.fromkeys(ks)],
        query_ids=held_out.queries.ids,
        document_ids=held_out.passages.ids,
    )
    return {
        "ndcg@10": found[f"ndcg@{ks[0]}"],
        "mrr@10": found[f"mrr@{ks[0]}"],
        f"recall@{ks[1]}": found[f"recall@{ks[1]}"],
        "map": found["map"],
    }
