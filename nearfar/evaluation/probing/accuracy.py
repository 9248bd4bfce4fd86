"""Accuracy counted in the three ways that tables use: per class, averaged over classes, among the top k."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import class_labels, integer_classes, matrix, positive_integer


def per_class_accuracy(labels: Any, predictions: Any) -> dict[Any, float]:
    """Recall of every class in ``labels``: class -> share of its rows that are predicted right, in [0, 1].

    Args:
        labels, predictions: (N,) classes of one type.

    Raises:
        ValueError: empty or of different lengths.
    """
    y = class_labels(labels, "labels")
    predicted = class_labels(predictions, "predictions", length=len(y))
    classes, codes = np.unique(y, return_inverse=True)
    right = np.bincount(codes, weights=predicted == y) / np.bincount(codes)
    return {label.item(): float(value) for label, value in zip(classes, right, strict=True)}


def mean_class_accuracy(labels: Any, predictions: Any) -> float:
    """Mean of :func:`per_class_accuracy`: every class counts the same, however rare (balanced accuracy)."""
    return float(np.mean(list(per_class_accuracy(labels, predictions).values())))


def top_k_accuracy(scores: Any, labels: Any, k: int = 5) -> float:
    """Share of rows whose class is among the ``k`` best scores; equal scores rank by class index.

    Args:
        scores: (N, C) logits or probabilities.
        labels: (N,) integers in 0..C-1.
        k: between 1 and C.
    """
    values = matrix(scores, "scores")
    y = integer_classes(labels, "labels", length=len(values), num_classes=values.shape[1])
    k = positive_integer(k, "k", at_most=values.shape[1], why="the number of classes")
    own = values[np.arange(len(y)), y][:, None]
    ahead = (values > own) | ((values == own) & (np.arange(values.shape[1]) < y[:, None]))
    return float(np.mean(ahead.sum(1) < k))


def shot_accuracy(
    labels: Any, predictions: Any, train_counts: Any, *, many: int = 100, few: int = 20
) -> dict[str, float]:
    """Accuracy by the rarity of classes: means of :func:`per_class_accuracy` over classes with much or little training.

    Args:
        labels, predictions: (N,) class numbers in 0..C-1.
        train_counts: (C,) training examples of each class.
        many, few: classes with more than ``many`` examples count as many-shot, with fewer than ``few`` as few-shot.

    Returns:
        ``balanced`` over all classes, and ``many``, ``medium``, ``few`` as far as there are such classes among
        ``labels``.

    Raises:
        ValueError: empty, of different lengths, or labels beyond the counts.
    """
    counts = np.asarray(train_counts)
    y = integer_classes(labels, "labels", length=len(labels), num_classes=len(counts))
    by_class = {int(c): a for c, a in per_class_accuracy(y, predictions).items()}
    groups = {
        "many": [a for c, a in by_class.items() if counts[c] > many],
        "medium": [a for c, a in by_class.items() if few <= counts[c] <= many],
        "few": [a for c, a in by_class.items() if counts[c] < few],
    }
    found = {name: float(np.mean(group)) for name, group in groups.items() if group}
    return {"balanced": float(np.mean(list(by_class.values()))), **found}
