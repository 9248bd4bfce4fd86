"""Anomaly and out-of-distribution detection: AUROC, AUPR and the false positives at 95% recall."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import binary, vector
from nearfar.evaluation.ranking._binary import operating_points


def detection(
    scores: Any, labels: Any, *, recall: float = 0.95, fpr_rule: Literal["closest", "first"] = "closest"
) -> dict[str, float]:
    """How well a score separates anomalies (1) from normal rows (0). High scores mean anomalous.

    - ``auroc`` = P(s+ > s-) + P(s+ = s-) / 2, in [0, 1], 0.5 for chance, unchanged by monotone transforms;
    - ``aupr`` = sum_n (R_n - R_{n-1}) P_n with anomalies positive (average precision, not the trapezoid);
      chance is ``prevalence``. ``aupr_normal`` is the same with normal rows positive and the score negated;
    - ``fpr95`` (named after ``recall``): share of normal rows accepted as anomalous at the threshold where
      the share of anomalies found is nearest to 95%.

    Args:
        scores: (N,) finite.
        labels: (N,) 0/1 or booleans, both present; 1 is an anomaly.
        recall: the share of anomalies to be found.
        fpr_rule: ``"closest"`` takes the threshold whose recall is closest to ``recall``, on equal distance
            the higher recall, as the outlier-exposure code does (hendrycks/outlier-exposure,
            utils/display_results.py) and everything built on it; ``"first"`` the first that reaches it.

    Raises:
        ValueError: different lengths, one group only, not finite, unknown ``fpr_rule``.

    See Also:
        :func:`nearfar.evaluation.ranking.verification` for same/different trials with costs.
    """
    s = vector(scores, "scores")
    positive = binary(labels, "labels", length=len(s))
    if not 0 < recall <= 1:
        raise ValueError(f"recall must lie in (0, 1], got {recall}")
    if fpr_rule not in ("closest", "first"):
        raise ValueError(f"fpr_rule must be 'closest' or 'first', got {fpr_rule!r}")
    points = operating_points(s, positive)
    tpr = points.true_positives / positive.sum()
    fpr = points.false_positives / (~positive).sum()
    return {
        "auroc": float(np.sum(np.diff(fpr, prepend=0) * (tpr + np.append(0, tpr[:-1])) / 2)),
        "aupr": _average_precision(s, positive),
        "aupr_normal": _average_precision(-s, ~positive),
        f"fpr{100 * recall:g}": _fpr_at(tpr, fpr, recall, fpr_rule),
        "prevalence": float(positive.mean()),
    }


def _average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    points = operating_points(scores, positive)
    precision = points.true_positives / (points.true_positives + points.false_positives)
    return float(np.sum(np.diff(points.true_positives, prepend=0) * precision) / positive.sum())


def _fpr_at(tpr: np.ndarray, fpr: np.ndarray, recall: float, rule: str) -> float:
    if rule == "first":
        return float(fpr[np.searchsorted(tpr, recall)])
    full = int(np.searchsorted(tpr, 1.0))
    descending = np.arange(full, -1, -1)
    return float(fpr[descending[np.argmin(np.abs(tpr[descending] - recall))]])
