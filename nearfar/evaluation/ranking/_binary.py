"""The operating points of a score that separates two groups, shared by detection and verification."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class OperatingPoints(NamedTuple):
    """Counts of rows with score >= threshold, for every distinct score from high to low."""

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray


def operating_points(scores: np.ndarray, positive: np.ndarray) -> OperatingPoints:
    """Equal scores form one point: no threshold can tell them apart, whatever order they were given in."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    true_positives = np.cumsum(hits)[last]
    return OperatingPoints(ranked[last], true_positives, last + 1 - true_positives)
