"""Probes on every held-out set of a collection, and the geometry of its representation: how several fields judge."""

from __future__ import annotations

import warnings

import numpy as np

from nearfar.evaluation import (
    GEOMETRY,
    LinearProbe,
    alignment,
    effective_rank,
    feature_std,
    knn_predict,
    separation,
    uniformity,
)
from nearfar.sources.data import Data
from nearfar.sources.labels import classed_rows, known
from nearfar.system import Scores
from nearfar.training.embed import embed
from nearfar.training.method import Method

__all__ = ["near_and_apart", "probe_held_out", "split"]


def split(data: Data, seed: int = 0) -> tuple[Data, dict[str, Data]]:
    """What probes learn from, and the held-out sets by name: a drawn fifth, ``test``, of labelled data without any."""
    held_out = dict(data.splits())
    if held_out or data.labels is None:
        return data, held_out
    order = np.random.default_rng(seed).permutation(len(data))
    cut = max(len(data) // 5, 1)
    return data.subset(order[cut:]), {"test": data.subset(order[:cut])}


def _enough(rows: np.ndarray) -> bool:
    return len(rows) > 1


def _probe(x: np.ndarray, y: np.ndarray, seed: int) -> LinearProbe | None:
    """A linear probe, or ``None``, with a warning, where there are too few rows to choose its strength by."""
    try:
        return LinearProbe(seed=seed).fit(x, y)
    except ValueError as error:
        if "too few" not in str(error):
            raise
        warnings.warn(
            f"no linear probe: {len(y):,} labelled examples of {len(np.unique(y)):,} classes are too few to set some "
            "aside of each, by which its strength is chosen",
            stacklevel=3,
        )
        return None


def near_and_apart(x: np.ndarray, y: np.ndarray) -> Scores:
    """``alignment`` and ``separation`` of (N, D) and (N, D), row i of both being views of one thing: the mean squared
    distance of what belongs together, and of what does not. Nothing of fewer than two rows, or of rows that are not
    finite."""
    if len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return Scores()
    found = {"alignment": alignment(x, y), "separation": separation(x, y)}
    return Scores(found, neither=["alignment", "separation"])


def probe_held_out(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Linear-probe and kNN accuracy on each held-out set of ``data``, and geometry.

    The probe's regularisation is chosen on a part of the training set, never on a held-out one. Where ``data``
    has no held-out sets, a fifth of it (stratified by nothing, drawn from ``seed``) is held out as ``test``.
    Without labels only the geometry is measured.

    Returns:
        ``linear <set>``, ``knn <set>`` in [0, 1]; ``effective_rank``, ``uniformity`` and ``std`` (times sqrt(D),
        about 1 when healthy) of the first held-out set, or of the data itself.
    """
    train, held_out = split(data, seed)
    embeddings = embed(method, train)
    tests = {name: embed(method, split) for name, split in held_out.items()}
    scores = Scores(neither=GEOMETRY)
    rows = classed_rows(embeddings.labels, train.name)
    if embeddings.labels is not None and len(rows):
        x, y = embeddings.array[rows], embeddings.labels[rows]
        probe = _probe(x, y, seed)
        for name, test in tests.items():
            if test.labels is None or not (named := known(test.labels)).any():
                warnings.warn(f"nothing is measured on {name}, which has no labels", stacklevel=2)
                continue
            asked, truth = test.array[named], test.labels[named]
            if probe is not None:
                scores.over(f"linear {name}", probe.predict(asked) == truth)
            scores.over(f"knn {name}", knn_predict(x, y, asked, k=min(20, len(x))) == truth)
    # Of a set of one picture there is no geometry.
    sample = max(next(iter(tests.values()), embeddings).array[:2048], embeddings.array[:2048], key=_enough)
    if len(sample) < 2:
        return scores
    scores["effective_rank"] = effective_rank(sample)
    scores["uniformity"] = uniformity(sample)
    scores["std"] = feature_std(sample, relative=True)
    return scores
