"""Recommendations as a table, by the names that people gave."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.recommend.data import Interactions
from nearfar.recommend.method import Recommender


def recommendations(
    method: Recommender, data: Interactions, k: int, users: list[str] | None = None
) -> tuple[dict[str, list[Any]], list[tuple[str, str]]]:
    """The columns ``user``, ``place`` (from 1), ``item`` and ``score``, and the users that were left out with reasons.

    Args:
        method: a trained recommender.
        data: what it was trained on, which knows the names.
        k: how many items for each user; of all items where there are fewer.
        users: their names; everybody who has interactions to learn from, when not given.

    Raises:
        ValueError: none of the users can be answered; k below 1.
    """
    wanted = data.user_ids[np.diff(data.learn.indptr) > 0].tolist() if users is None else list(dict.fromkeys(users))
    rows, bad = data.rows_of(wanted)
    if not len(rows):
        raise ValueError(
            f"none of the {len(wanted)} users can be answered"
            + (f"; the first: {bad[0][0]}: {bad[0][1]}" if bad else ", because none is named")
        )
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    method.connect(data)
    items, scores = method.rank(rows, min(k, len(data.item_ids)))
    fine = items >= 0
    user, place = np.nonzero(fine)
    columns = {
        "user": data.user_ids[rows[user]].tolist(),
        "place": (place + 1).tolist(),
        "item": data.item_ids[items[fine]].tolist(),
        "score": scores[fine].tolist(),
    }
    return columns, bad
