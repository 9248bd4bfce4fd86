"""Intervals over seeds: how sure a mean, or the difference between two methods, is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from nearfar.evaluation._arrays import vector


class Interval(NamedTuple):
    """A mean and the confidence interval around it."""

    mean: float
    low: float
    high: float


def mean_interval(values: Any, confidence: float = 0.95) -> Interval:
    """Student t-interval for the mean of ``values``.

    mean ± t_{n-1, (1+confidence)/2} · s / sqrt(n), with s the sample standard deviation (divisor n - 1).

    Args:
        values: (n,) one number per seed or split, n at least 1.
        confidence: in (0, 1).

    Returns:
        The mean and both ends. One value says nothing about spread: its interval is infinite. Values that are
        all equal give an interval of zero width.

    Raises:
        ValueError: ``values`` empty or not finite, ``confidence`` outside (0, 1).
    """
    sample = vector(values, "values")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    n = len(sample)
    mean = float(sample[0]) if (sample == sample[0]).all() else float(sample.mean())
    if n == 1:
        return Interval(mean, -math.inf, math.inf)
    from scipy.special import stdtrit

    deviation = 0.0 if (sample == sample[0]).all() else float(sample.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def paired_interval(treatment: Any, baseline: Any, confidence: float = 0.95) -> Interval:
    """Paired t-interval for the mean of ``treatment - baseline``: entries i share seed, data and split.

    Pairing removes what both methods owe to the seed, so it is narrower than two separate intervals. It
    assumes differences that are roughly normal; with very skewed ones use a bootstrap over seeds instead.

    Args:
        treatment, baseline: (n,) scores, paired by position.
        confidence: in (0, 1).

    Returns:
        Mean difference and both ends; infinite for n = 1, zero width when all differences are equal.

    Raises:
        ValueError: different lengths, empty or not finite, ``confidence`` outside (0, 1).
    """
    first = vector(treatment, "treatment")
    second = vector(baseline, "baseline", length=len(first))
    return mean_interval(first - second, confidence)
