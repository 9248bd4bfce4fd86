"""Generalised zero-shot recognition: classes seen in training and classes never seen, scored together."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import integer_classes, matrix, to_numpy


def zero_shot(scores: Any, labels: Any, seen: Any, *, offset: float = 0.0) -> dict[str, float]:
    """Seen and unseen accuracy, their harmonic mean, and the area under the seen-unseen curve.

    All accuracies are means over classes of the per-class accuracy (Xian et al., "Zero-Shot Learning: A
    Comprehensive Evaluation", 2018). ``offset`` is added to the scores of unseen classes (calibrated
    stacking, Chao et al. 2016); the curve goes through every offset, so it needs none.

    Args:
        scores: (N, C) of every row for every class, seen or not; only their order within a row matters.
        labels: (N,) integers in 0..C-1, with rows of seen and of unseen classes.
        seen: (C,) booleans: which classes were trained on.
        offset: added to the columns of unseen classes. Choose it on validation data.

    Returns:
        ``seen`` (S), ``unseen`` (U), ``harmonic`` 2SU/(S+U), ``unseen_only`` (rows and classes both
        restricted to the unseen ones, the classical zero-shot number), ``ausuc``; all in [0, 1].

    Raises:
        ValueError: shapes that do not agree, no seen or no unseen class, or no row of either kind.
    """
    values = matrix(scores, "scores")
    y = integer_classes(labels, "labels", length=len(values), num_classes=values.shape[1])
    known = to_numpy(seen, "seen")
    if known.shape != (values.shape[1],) or known.dtype != bool or known.all() or not known.any():
        raise ValueError(
            f"seen must be {values.shape[1]} booleans, one per class, with both kinds present; "
            f"got shape {known.shape}, dtype {known.dtype}, {int(np.sum(known))} true"
        )
    row_seen = known[y]
    if row_seen.all() or not row_seen.any():
        raise ValueError("labels must contain rows of seen and of unseen classes")

    names_seen, names_unseen = np.flatnonzero(known), np.flatnonzero(~known)
    best_seen, best_unseen = values[:, known], values[:, ~known]
    right_seen = names_seen[best_seen.argmax(1)] == y
    right_unseen = names_unseen[best_unseen.argmax(1)] == y
    # A row is given to an unseen class as soon as the offset exceeds this margin.
    margin = best_seen.max(1) - best_unseen.max(1)
    weight = _class_weights(y, row_seen)

    s = float(weight[row_seen & right_seen & (margin >= offset)].sum())
    u = float(weight[~row_seen & right_unseen & (margin < offset)].sum())
    return {
        "seen": s,
        "unseen": u,
        "harmonic": 2 * s * u / (s + u) if s + u > 0 else 0.0,
        "unseen_only": float(weight[~row_seen & right_unseen].sum()),
        "ausuc": _area(margin, weight * (row_seen & right_seen), weight * (~row_seen & right_unseen)),
    }


def _class_weights(y: np.ndarray, row_seen: np.ndarray) -> np.ndarray:
    """Weights that sum to 1 over the rows of seen classes and over the others, equal for every class."""
    counts = np.bincount(y)
    weight = np.empty(len(y))
    for part in (row_seen, ~row_seen):
        weight[part] = 1 / (counts[y[part]] * len(np.unique(y[part])))
    return weight


def _area(margin: np.ndarray, seen_gain: np.ndarray, unseen_gain: np.ndarray) -> float:
    """Trapezoids under (U, S) as the offset passes every margin: S loses what U gains."""
    thresholds, codes = np.unique(margin, return_inverse=True)
    lost = np.bincount(codes, weights=seen_gain, minlength=len(thresholds))
    gained = np.bincount(codes, weights=unseen_gain, minlength=len(thresholds))
    s = np.concatenate([[seen_gain.sum()], seen_gain.sum() - np.cumsum(lost)])
    u = np.concatenate([[0.0], np.cumsum(gained)])
    return float(np.sum(np.diff(u) * (s[1:] + s[:-1]) / 2))
