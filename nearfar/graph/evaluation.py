"""What is measured on the nodes of a graph: the probe the field agrees on, and geometry."""

from __future__ import annotations

import numpy as np

from nearfar.evaluation import GEOMETRY, effective_rank, feature_std, liblinear_probe, stratified_fraction
from nearfar.sources.labels import classed_rows
from nearfar.system import Scores
from nearfar.training import Data, Method, embed


def evaluate(method: Method, data: Data, *, seed: int = 0, splits: int = 3) -> Scores:
    """Accuracy of a one-vs-rest logistic probe trained on a random tenth of the nodes, mean over ``splits``.

    The protocol of GRACE's released evaluation: rows are L2-normalised, the penalty is chosen by 5-fold search
    within the training nodes. Nodes without a label have no part in it, and
    without labels only the geometry is measured.
    """
    found = embed(method, data)
    scores = Scores(neither=GEOMETRY)
    rows = classed_rows(found.labels, data.name)
    if found.labels is not None and len(rows):
        scores["probe 10% labels"] = probe(found.array[rows], found.labels[rows], seed=seed, splits=splits)
    scores["effective_rank"] = effective_rank(found.array[:2048])
    scores["std"] = feature_std(found.array, relative=True)
    return scores


def probe(x: np.ndarray, y: np.ndarray, *, seed: int = 0, splits: int = 3, fraction: float = 0.1) -> float:
    """Mean accuracy over ``splits`` random divisions into ``fraction`` for training and the rest for testing."""
    accuracies = []
    for split in range(splits):
        chosen = stratified_fraction(y, fraction, seed=seed * splits + split)
        rest = np.setdiff1d(np.arange(len(y)), chosen)
        accuracies.append(liblinear_probe(x[chosen], y[chosen], x[rest], y[rest], seed=split).accuracy)
    return float(np.mean(accuracies))
