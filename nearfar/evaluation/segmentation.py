"""Dense prediction: one confusion matrix over the whole set, IoU, accuracy, agreement."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import positive_integer, to_numpy


class ConfusionMatrix:
    """Counts of (label, prediction) over a set that need not fit in memory.

    IoU_c = M_cc / (row_c + column_c - M_cc) from *all* pixels at once; the mean of per-image IoU is another,
    higher number. Pixels labelled ``ignore_index`` are dropped from rows and columns both, whatever was
    predicted there. Upsample logits to the size of the labels, then take the argmax; never resize labels.
    Totals agree with mmseg, DAFormer and torchmetrics' macro ``JaccardIndex``.

    Args:
        num_classes: number of classes C.
        ignore_index: label of pixels that do not count, or ``None``.

    Attributes:
        counts: (C, C) int64, rows labels, columns predictions.

    Example:
        >>> matrix = ConfusionMatrix(19)
        >>> matrix.update([[0, 1]], [[0, 255]])
        >>> matrix.pixel_accuracy
        1.0
    """

    def __init__(self, num_classes: int, *, ignore_index: int | None = 255) -> None:
        self.num_classes = positive_integer(num_classes, "num_classes")
        self.ignore_index = ignore_index
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, prediction: Any, label: Any) -> None:
        """Add pixels: integer arrays of one shape, in 0..C-1; labels may also be ``ignore_index``.

        Raises:
            ValueError: different shapes, no integers, or classes out of range; nothing is added then.
        """
        predicted, truth = _masks(prediction, label, "prediction", "label")
        if self.ignore_index is not None:
            keep = truth != self.ignore_index
            predicted, truth = predicted[keep], truth[keep]
        for name, values in (("prediction", predicted), ("label", truth)):
            if values.size and (values.min() < 0 or values.max() >= self.num_classes):
                extra = f" or the ignored {self.ignore_index}" if name == "label" and self.ignore_index else ""
                raise ValueError(
                    f"{name} must be in 0..{self.num_classes - 1}{extra}, "
                    f"got values from {values.min()} to {values.max()}"
                )
        cells = truth.astype(np.int64) * self.num_classes + predicted
        self.counts += np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Counts of both, for instance from two processes."""
        if self.num_classes != other.num_classes or self.ignore_index != other.ignore_index:
            raise ValueError("confusion matrices must have the same num_classes and ignore_index to be added")
        total = ConfusionMatrix(self.num_classes, ignore_index=self.ignore_index)
        total.counts = self.counts + other.counts
        return total

    @property
    def iou(self) -> np.ndarray:
        """(C,) intersection over union; NaN for classes neither labelled nor predicted anywhere."""
        right = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - right
        return np.divide(right, union, out=np.full(self.num_classes, np.nan), where=union > 0)

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that are labelled or predicted somewhere, in [0, 1]."""
        self._need_pixels()
        return float(np.nanmean(self.iou))

    @property
    def pixel_accuracy(self) -> float:
        """Share of counted pixels predicted right, in [0, 1]."""
        self._need_pixels()
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def mean_class_accuracy(self) -> float:
        """Mean over labelled classes of the share of their pixels predicted right, in [0, 1]."""
        self._need_pixels()
        total = self.counts.sum(1)
        return float(np.mean(np.diag(self.counts)[total > 0] / total[total > 0]))

    def scores(self) -> dict[str, float]:
        """``miou``, ``pixel_accuracy`` and ``mean_class_accuracy``."""
        return {
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
            "mean_class_accuracy": self.mean_class_accuracy,
        }

    def _need_pixels(self) -> None:
        if not self.counts.any():
            raise ValueError("no pixels were counted: update() was not called, or every label was the ignored one")


def miou(prediction: Any, label: Any, num_classes: int, *, ignore_index: int | None = 255) -> dict[str, float]:
    """:class:`ConfusionMatrix` scores of integer arrays of one shape, (N, H, W) for instance."""
    matrix = ConfusionMatrix(num_classes, ignore_index=ignore_index)
    matrix.update(prediction, label)
    return matrix.scores()


def agreement(first: Any, second: Any, *, label: Any = None, ignore_index: int = 255) -> float:
    """Share of pixels with the same prediction in two images of one scene, in [0, 1].

    What a model owes to the appearance alone: the scene is the same at noon and at night, so its prediction
    should be. A constant prediction agrees perfectly, so read it beside mIoU.

    Args:
        first, second: integer predictions of one shape, pixel aligned.
        label: optional labels of that shape; pixels where it equals ``ignore_index`` do not count.

    Raises:
        ValueError: different shapes, no integers, or no pixel left.
    """
    a, b = _masks(first, second, "first", "second")
    if label is not None:
        truth, _ = _masks(label, first, "label", "first")
        a, b = a[truth != ignore_index], b[truth != ignore_index]
    if a.size == 0:
        raise ValueError("first and second must share at least one pixel that is not ignored")
    return float(np.mean(a == b))


def _masks(first: Any, second: Any, first_name: str, second_name: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = to_numpy(first, first_name), to_numpy(second, second_name)
    if a.shape != b.shape:
        raise ValueError(f"{first_name} and {second_name} must have one shape, got {a.shape} and {b.shape}")
    for name, values in ((first_name, a), (second_name, b)):
        if values.dtype.kind not in "biu":
            raise ValueError(f"{name} must hold integer classes, got dtype {values.dtype} (take the argmax of logits)")
    return a.ravel(), b.ravel()
