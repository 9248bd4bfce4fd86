"""Do probabilities mean what they say? Calibration errors, proper scores, temperature scaling."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import integer_classes, matrix, positive_integer

Scheme = Literal["width", "mass"]


def ece(
    probabilities: Any,
    labels: Any,
    *,
    bins: int = 15,
    scheme: Scheme = "width",
    norm: Literal["l1", "max"] = "l1",
) -> float:
    """Calibration error: ``sum_b (n_b / N) |accuracy_b - confidence_b|`` (Guo et al. 2017, eq. 5), in [0, 1].

    Confidence is the largest probability, accuracy whether that class is right. Bins are open below and
    closed above; empty ones count nothing. Agrees with torchmetrics' ``CalibrationError``.

    Args:
        probabilities: (N, C), rows summing to 1.
        labels: (N,) integers in 0..C-1.
        bins: number of bins.
        scheme: ``"width"`` bins of equal width; ``"mass"`` bins of equal numbers of rows, cut at quantiles so
            that equal confidences share a bin (adaptive ECE).
        norm: ``"l1"`` the mean; ``"max"`` the largest gap of any bin (maximum calibration error).

    Raises:
        ValueError: rows that are no distributions, labels outside 0..C-1, lengths that differ.
    """
    p, y = _distributions(probabilities, labels)
    return _gap(p.max(1), p.argmax(1) == y, positive_integer(bins, "bins"), scheme, norm)


def calibration(probabilities: Any, labels: Any, *, bins: int = 15) -> dict[str, float]:
    """All of it at once; lower is better everywhere except ``accuracy``.

    ``ece``, ``adaptive_ece`` and ``mce`` (:func:`ece` with its options), ``classwise_ece`` (mean over classes
    of the equal-width error of that class's probability, Kull et al. 2019), ``nll`` (mean -log p of the true
    class, natural logarithm, p clipped at 2.2e-16 as in scikit-learn's ``log_loss``), ``brier`` (mean ||p -
    onehot||², in [0, 2]; twice scikit-learn's binary ``brier_score_loss``), ``accuracy``.

    Args:
        probabilities: (N, C), rows summing to 1.
        labels: (N,) integers in 0..C-1.
        bins: number of bins.
    """
    p, y = _distributions(probabilities, labels)
    bins = positive_integer(bins, "bins")
    confidence, right = p.max(1), p.argmax(1) == y
    own = p[np.arange(len(y)), y]
    return {
        "ece": _gap(confidence, right, bins, "width", "l1"),
        "adaptive_ece": _gap(confidence, right, bins, "mass", "l1"),
        "mce": _gap(confidence, right, bins, "width", "max"),
        "classwise_ece": float(np.mean([_gap(p[:, c], y == c, bins, "width", "l1") for c in range(p.shape[1])])),
        "nll": float(-np.log(np.maximum(own, np.finfo(np.float64).eps)).mean()),
        "brier": float(((p**2).sum(1) - 2 * own + 1).mean()),
        "accuracy": float(right.mean()),
    }


def fit_temperature(logits: Any, labels: Any, *, low: float = 1e-3, high: float = 1e3, smoothing: float = 0.0) -> float:
    """The T that minimises the mean cross-entropy of softmax(logits / T) (Guo et al. 2017, section 4.2).

    The loss is convex in 1/T, so that the minimum is found by bisection on its derivative, to 1e-12 relative.
    Fit it on validation rows, never on those it is judged on, then use ``softmax(logits / T)``. The predicted
    classes stay as they were.

    Args:
        logits: (N, C).
        labels: (N,) integers in 0..C-1.
        low, high: limits of T. The lower one is returned when every row is right (T would go to 0), the upper
            one when the logits are no better than a constant.
        smoothing: share of each label that is spread over all classes, in [0, 1). ``C / (N + C)`` gives the targets
            (N + 1) / (N + C) and 1 / (N + C) of Platt (1999, section 2.2) for C classes: a few rows that are all
            right then do not make every probability 1.

    Raises:
        ValueError: NaN, labels outside 0..C-1, lengths that differ, limits not 0 < low < high, another smoothing.
    """
    z = matrix(logits, "logits")
    y = integer_classes(labels, "labels", length=len(z), num_classes=z.shape[1])
    if not 0 < low < high:
        raise ValueError(f"limits must satisfy 0 < low < high, got {low} and {high}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1), got {smoothing}")
    z = z - z.max(1, keepdims=True)
    own = (1 - smoothing) * z[np.arange(len(y)), y].mean() + smoothing * z.mean()

    def slope(sharpness: float) -> float:
        weights = np.exp(sharpness * z)
        return float(((weights * z).sum(1) / weights.sum(1)).mean() - own)

    cold, warm = np.log(1 / high), np.log(1 / low)
    if slope(1 / high) >= 0:
        return float(high)
    if slope(1 / low) <= 0:
        return float(low)
    while warm - cold > 1e-12:
        middle = (cold + warm) / 2
        if slope(np.exp(middle)) < 0:
            cold = middle
        else:
            warm = middle
    return float(np.exp(-(cold + warm) / 2))


def _gap(confidence: np.ndarray, right: np.ndarray, bins: int, scheme: str, norm: str) -> float:
    if scheme == "width":
        edges = np.linspace(0, 1, bins + 1)
    elif scheme == "mass":
        edges = np.quantile(confidence, np.linspace(0, 1, bins + 1))
    else:
        raise ValueError(f"scheme must be 'width' or 'mass', got {scheme!r}")
    if norm not in ("l1", "max"):
        raise ValueError(f"norm must be 'l1' or 'max', got {norm!r}")
    index = np.searchsorted(edges[1:-1], confidence, side="left")
    count = np.bincount(index, minlength=bins)
    difference = np.bincount(index, weights=right - confidence, minlength=bins)
    if norm == "max":
        return float(np.max(np.abs(difference[count > 0]) / count[count > 0]))
    return float(np.abs(difference).sum() / len(confidence))


def _distributions(probabilities: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    p = matrix(probabilities, "probabilities")
    sums = p.sum(1)
    # bfloat16 softmax rows are off by up to about half a percent
    if p.min() < 0 or np.abs(sums - 1).max() > 1e-2:
        raise ValueError(
            "probabilities must be distributions: entries of at least 0 and rows that sum to 1, "
            f"got a minimum of {p.min():.3g} and sums from {sums.min():.3g} to {sums.max():.3g} (logits?)"
        )
    return p, integer_classes(labels, "labels", length=len(p), num_classes=p.shape[1])
