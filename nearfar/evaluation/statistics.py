"""Intervals over seeds, and over examples: how sure a mean, or the difference between two methods, is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

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


def difference_on_examples(first: Any, second: Any, examples: Any = None) -> Interval:
    """95% interval of how far one system is ahead of another on examples like these, from paired outcomes.

    Of right and wrong answers that of Agresti & Min 2005 ("Simple improved confidence intervals for comparing matched
    proportions"): half an example is added to each of the four ways in which two systems can agree or not, and the
    interval is the normal one of the n + 2. It stays honest with few examples and where all agree; its mean is the
    plain difference. Of other numbers, and where one example has several outcomes, the normal interval with the
    spread between examples: sqrt(sum over examples of (sum of its deviations)²) / n.

    It says nothing of other seeds; :func:`paired_interval` over several does.

    Args:
        first, second: (N,) outcomes of the same examples, N at least 2.
        examples: (N,) which example each outcome is of; all are different otherwise.

    Raises:
        ValueError: lengths that differ, fewer than two outcomes, or NaN.
    """
    ahead, behind = vector(first, "first"), vector(second, "second")
    if len(ahead) != len(behind) or len(ahead) < 2:
        raise ValueError(f"first and second must be of one length of at least 2, got {len(ahead)} and {len(behind)}")
    difference = ahead - behind
    mean, z = float(difference.mean()), 1.959964
    binary = np.isin(ahead, (0, 1)).all() and np.isin(behind, (0, 1)).all()
    if binary and examples is None:
        n, only_first, only_second = len(ahead) + 2, (difference > 0).sum() + 0.5, (difference < 0).sum() + 0.5
        centre = (only_first - only_second) / n
        error = math.sqrt(max(only_first + only_second - (only_first - only_second) ** 2 / n, 0.0)) / n
        low, high = max(centre - z * error, -1.0), min(centre + z * error, 1.0)
        return Interval(mean, min(low, mean), max(high, mean))
    _, group = np.unique(np.arange(len(ahead)) if examples is None else np.asarray(examples), return_inverse=True)
    error = math.sqrt((np.bincount(group, difference - mean) ** 2).sum()) / len(ahead)
    return Interval(mean, mean - z * error, mean + z * error)
