"""What is measured on the nodes of a graph, or on whole graphs: the probes the field agrees on, and geometry."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from nearfar.evaluation import (
    GEOMETRY,
    effective_rank,
    feature_std,
    liblinear_probe,
    stratified_fraction,
)
from nearfar.graph.data.kinds import WholeGraphs
from nearfar.graph.data.molecules import MoleculeSet
from nearfar.sources.labels import classed_rows
from nearfar.system import Scores
from nearfar.training import Data, Method, embed

MOST_PROBED, DRAWN = 35_000, 10_000
"""Of more labelled nodes than any graph of the published tables has, a division of a probe takes a drawn part."""


def evaluate(method: Method, data: Data, *, seed: int = 0, splits: int = 3) -> Scores:
    """Accuracy of a one-vs-rest logistic probe trained on a random tenth of the nodes, mean over ``splits``.

    Departure: the tenth is drawn from every class alike (stratified, at least one node of each), where GRACE's code
    draws from all nodes; small classes are then never without an example.

    The protocol of GRACE's released evaluation: rows are L2-normalised, the penalty is chosen by 5-fold search within
    the training nodes. Of more than :data:`MOST_PROBED` labelled nodes each split draws :data:`DRAWN`. Nodes without a
    label have no part in it. Whole graphs are classified by :func:`graph_svm` instead, and molecules by
    :func:`across_scaffolds`. Without labels only the geometry is measured.
    """
    found = embed(method, data)
    scores = Scores(neither=GEOMETRY)
    if isinstance(data, MoleculeSet) and found.labels is not None:
        scores |= across_scaffolds(found.array, found.labels, data.scaffolds)
        rows = np.array([], dtype=np.int64)
    else:
        rows = classed_rows(found.labels, data.name)
    if found.labels is not None and len(rows):
        if data.gives is WholeGraphs:
            scores["svm, 10 folds"] = graph_svm(found.array[rows], found.labels[rows], seed=seed)
        else:
            scores.over("probe 10% labels", *probed(found.array[rows], found.labels[rows], seed=seed, splits=splits))
    scores["effective_rank"] = effective_rank(found.array[:2048])
    scores["std"] = feature_std(found.array, relative=True)
    return scores


def across_scaffolds(x: np.ndarray, y: np.ndarray, scaffolds: np.ndarray, *, folds: int = 5) -> dict[str, float]:
    """A linear probe on molecules whose scaffolds it has not seen: the share of variance that it explains, of measured
    labels, or its accuracy, of classes.

    Every scaffold is in one of ``folds`` parts of about equal size, and each part is told by what was learned from the
    others. (MoleculeNet tests on the rarest scaffolds alone, which are the largest molecules.) Molecules without a
    finite label have no part in it; with fewer than 10, or fewer scaffolds than folds, nothing is measured.
    """
    measured = y.dtype.kind == "f"
    rows = np.flatnonzero(np.isfinite(y)) if measured else np.arange(len(y))
    x, y, groups = x[rows], y[rows], scaffolds[rows]
    if len(y) < 10 or len(np.unique(groups)) < folds or len(np.unique(y)) < 2:
        return {}
    chosen = GridSearchCV(LogisticRegression(max_iter=500), {"C": [10.0**power for power in range(-3, 3)]})
    last = RidgeCV(np.logspace(-3, 5, 9)) if measured else chosen
    machine = make_pipeline(StandardScaler(), last)
    said = cross_val_predict(machine, x, y, groups=groups, cv=GroupKFold(folds))
    if measured:
        return {"r2, new scaffolds": float(r2_score(y, said))}
    return {"accuracy, new scaffolds": float(np.mean(said == y))}


def probe(x: np.ndarray, y: np.ndarray, *, seed: int = 0, splits: int = 3, fraction: float = 0.1) -> float:
    """Mean accuracy over ``splits`` random divisions into ``fraction`` for training and the rest for testing."""
    return float(probed(x, y, seed=seed, splits=splits, fraction=fraction)[0].mean())


def probed(
    x: np.ndarray, y: np.ndarray, *, seed: int = 0, splits: int = 3, fraction: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Whether a node was told, in every division in which it was tested, and which node it is.

    Of more than :data:`MOST_PROBED` rows every division takes :data:`DRAWN`, drawn anew.
    """
    right, nodes = [], []
    for split in range(splits):
        rows = np.arange(len(y))
        if len(y) > MOST_PROBED:
            rows = np.random.default_rng(seed * splits + split).choice(len(y), DRAWN, replace=False)
        chosen = rows[stratified_fraction(y[rows], fraction, seed=seed * splits + split)]
        rest = np.setdiff1d(rows, chosen)
        right.append(liblinear_probe(x[chosen], y[chosen], x[rest], y[rest], seed=split).right)
        nodes.append(rest)
    return np.concatenate(right), np.concatenate(nodes)


def graph_svm(x: np.ndarray, y: np.ndarray, *, seed: int = 0, folds: int = 10) -> float:
    """Mean accuracy of a support vector machine over stratified folds, its C of 0.001 to 1000 chosen inside each.

    The protocol of GraphCL and its successors on TU graphs. Columns are standardised on the training part. Where a
    class has fewer members than folds, there are as many folds as it has members, and at least 2.

    Raises:
        ValueError: a class with a single member.
    """
    least = int(np.unique(y, return_counts=True)[1].min())
    if least < 2:
        raise ValueError("a class has a single graph, which cannot be in training and in testing")
    outer = StratifiedKFold(min(folds, least), shuffle=True, random_state=seed)
    inner = StratifiedKFold(max(min(5, least - least // min(folds, least) - 1), 2), shuffle=True, random_state=seed)
    machine = make_pipeline(StandardScaler(), SVC())
    search = GridSearchCV(machine, {"svc__C": [10.0**power for power in range(-3, 4)]}, cv=inner)
    return float(cross_val_score(search, x, y, cv=outer).mean())
