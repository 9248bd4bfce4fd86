"""Full-ranking Recall and NDCG: the field's protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.recommend.data import Interactions
from nearfar.recommend.method import Recommender
from nearfar.system import Scores

CUTS = (20, 40)


def evaluate(method: Recommender, data: Interactions, *, seed: int = 0) -> Scores:
    """Recall@K and NDCG@K for K of 20 and 40, of all items against each other, averaged over users.

    What a user is known to have chosen is left out of the ranking. Users without held-out choices do not count.
    Every user counts once, where released code often averages the means of batches. Numbers of ranking against a few
    sampled items are higher and must not be compared. Deterministic: ``seed`` is not used.
    """
    found = per_user(method, data)
    scores = Scores()
    for name, values in found.items():
        if name != "user":
            scores.over(name, values)
    return scores


def by_activity(method: Recommender, data: Interactions, *, seed: int = 0) -> Scores:
    """The same for the third of users with the fewest known choices, and for the third with the most."""
    found = per_user(method, data)
    active = np.argsort(np.diff(data.learn.indptr)[found["user"]], kind="stable")
    third = max(len(active) // 3, 1)
    scores = Scores()
    for name, values in found.items():
        if name != "user":
            scores[f"{name}, least active third"] = float(values[active[:third]].mean())
            scores[f"{name}, most active third"] = float(values[active[-third:]].mean())
    return scores


def per_user(method: Recommender, data: Interactions) -> dict[str, np.ndarray]:
    """``user``, the rows of users with held-out choices, and one number a user of each measure.

    Raises:
        ValueError: nothing is held out.
    """
    users = np.flatnonzero(np.diff(data.test.indptr))
    if not len(users):
        raise ValueError(f"{data.name} holds nothing out to be found; give --holdout above 0")
    method.connect(data)
    cuts = [min(cut, data.test.shape[1]) for cut in CUTS]
    items, _ = method.rank(users, max(cuts))
    hits = _hits(items, users, data.test)
    relevant = np.diff(data.test.indptr)[users]
    found = {"user": users}
    for cut, asked in zip(CUTS, cuts, strict=True):
        found[f"recall@{cut}"], found[f"ndcg@{cut}"] = recall_and_ndcg(hits[:, :asked], relevant)
    return found


def recall_and_ndcg(hits: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall ``hits / relevant`` and NDCG with binary gains, one number a user.

    The ideal ranking has its ``min(K, relevant)`` hits first.

    Args:
        hits: (N, K) bool, whether the item at each place is one of the user's.
        relevant: (N,) how many there are, at least 1.
    """
    gain = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    ideal = np.concatenate([[0.0], np.cumsum(gain)])[np.minimum(relevant, hits.shape[1])]
    return hits.sum(1) / relevant, hits @ gain / ideal


def _hits(items: np.ndarray, users: np.ndarray, test: Any) -> np.ndarray:
    keys = np.repeat(np.arange(test.shape[0]), np.diff(test.indptr)) * test.shape[1] + test.indices
    asked = users[:, None] * test.shape[1] + items
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return (keys[place] == asked) & (items >= 0)
