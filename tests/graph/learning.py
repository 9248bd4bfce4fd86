"""A cheap measure for tests of learning: what a tenth of the labels tells about the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from nearfar.training import Method, embed


def accuracy(method: Method, data: Any, share: float = 0.1) -> float:
    """Logistic regression on L2-normalised embeddings, the mean over three divisions."""
    found = embed(method, data)
    return division_accuracy(found.array, found.labels, share)


def division_accuracy(x: np.ndarray, y: np.ndarray, share: float = 0.1) -> float:
    rows, scores = normalize(x), []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(y))
        train, test = order[: int(share * len(y))], order[int(share * len(y)) :]
        scores.append(LogisticRegression(C=10, max_iter=100).fit(rows[train], y[train]).score(rows[test], y[test]))
    return float(np.mean(scores))
