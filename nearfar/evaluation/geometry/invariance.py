"""Which changes a representation ignores: do the neurons that fire for a thing fire for all pictures of it?"""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import class_labels, matrix, positive_integer

_SMALLEST = 3  # pictures that a set needs


def invariance_score(
    features: Any,
    set_ids: Any,
    class_ids: Any = None,
    *,
    top_k: tuple[int, ...] = (10, 25),
    firing: float = 0.05,
    seed: int = 0,
) -> dict[str, float]:
    """Top-k representation invariance scores (Purushwalkam & Gupta, 2020, arXiv 2007.13916, section 3).

    A set is the pictures of one thing under one kind of change. A neuron *fires* where it is above its (1 - G)
    quantile over all pictures, or, with the other sign, below its G quantile, ``G = max(1 / classes, firing)``. For
    each set in which it fires at all, its local rate is the share of the set's pictures on which it does, for the
    better of the two signs. Averaged over the sets of a class and divided by its rate over all pictures, that is the
    neuron's score for the class; the k best neurons of each class are averaged, then the classes. Times 100 G, as the
    released code (senthilps8/demystifyssl, measure_invariances.py) prints it, the number reads as a percentage: 100
    when the best neurons, wherever they fire, fire on all pictures of the set.

    As in the released code, quantiles are order statistics without interpolation, sets of fewer than three pictures
    count for the quantiles only, a set has the class of its first picture, and a class without a larger set counts
    as 0. Leaving silent sets out, taking the better sign and choosing neurons all raise the score of features that
    mean nothing, by an amount that depends on their number and the sizes of the sets: so the same is computed with
    the pictures shuffled over the sets, and only the distance to that means anything. Outputs of a ReLU that are
    mostly 0 have no lower tail; measure in front of it, or behind an average.

    Args:
        features: (N, D), one row per picture.
        set_ids: (N,) the set of each picture.
        class_ids: (N,) classes; every set is its own class when not given.
        top_k: how many neurons of each class, each at most D.
        firing: smallest share of pictures on which a neuron may be said to fire, in (0, 1).
        seed: of the shuffle.

    Returns:
        ``top <k>`` and ``top <k> shuffled`` for each k, at least 0; about 100 at most (more where values tie).

    Raises:
        ValueError: NaN, lengths that differ, fewer than two classes, no set of three pictures, k above D.
    """
    rows = matrix(features, "features")
    _, sets = np.unique(class_labels(set_ids, "set_ids", length=len(rows), classes=2), return_inverse=True)
    classes = sets if class_ids is None else class_labels(class_ids, "class_ids", length=len(rows), classes=2)
    _, classes = np.unique(classes, return_inverse=True)
    if not 0 < firing < 1:
        raise ValueError(f"firing must lie between 0 and 1, got {firing}")
    for k in top_k:
        positive_integer(k, "top_k", at_most=rows.shape[1], why="the features")
    if np.bincount(sets).max() < _SMALLEST:
        raise ValueError(f"set_ids must have a set of at least {_SMALLEST} pictures, the largest has fewer")
    percent = min((1 - 1 / (classes.max() + 1)) * 100, 100 - 100 * firing)
    shuffled = rows[np.random.default_rng(seed).permutation(len(rows))]
    scores: dict[str, float] = {}
    for suffix, bank in (("", rows), (" shuffled", shuffled)):
        ranked = -np.sort(-_scores(bank, sets, classes, percent), axis=1)
        scores |= {f"top {k}{suffix}": float(ranked[:, :k].mean() * (100 - percent)) for k in top_k}
    return {name: scores[name] for k in top_k for name in (f"top {k}", f"top {k} shuffled")}


def _scores(rows: np.ndarray, sets: np.ndarray, classes: np.ndarray, percent: float) -> np.ndarray:
    """(classes, D): each neuron's local rate over its global rate."""
    index = int(len(rows) * percent // 100)
    ascending = np.sort(rows, axis=0)
    high, low = ascending[index], ascending[len(rows) - 1 - index]
    by_set = np.argsort(sets, kind="stable")
    starts = np.flatnonzero(np.diff(sets[by_set], prepend=-1))
    sizes = np.bincount(sets)[:, None]
    above = np.add.reduceat((rows > high)[by_set].astype(np.int64), starts)
    below = np.add.reduceat((rows < low)[by_set].astype(np.int64), starts)
    rate = np.maximum(above, below) / sizes
    counted = (rate > 0) & (sizes >= _SMALLEST)
    of_class = classes[by_set[starts]]  # of the first picture: the sort is stable
    total, number = np.zeros((2, classes.max() + 1, rows.shape[1]))
    np.add.at(total, of_class, np.where(counted, rate, 0))
    np.add.at(number, of_class, counted)
    return total / np.maximum(number, 1) / (rows >= high).mean(0)
