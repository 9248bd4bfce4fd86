"""What is measured on scenes: accuracy, agreement between appearances, and whether confidence means what it says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nearfar.evaluation import ConfusionMatrix
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.dense import DensePretraining
from nearfar.segmentation.method import SegmentationMethod
from nearfar.segmentation.pixel_probe import pixel_probe
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.training import Data, Method
from nearfar.training.embed import to_device

BINS = 15
BATCH = 8


@dataclass
class AppearanceCounts:
    """What a segmenter did on one appearance of a set, pixel by pixel, in counts that add up over batches.

    Attributes:
        matrix: labels against predictions.
        bins: (15, 3), of every bin of confidence: pixels, sum of confidences, pixels that were right.
    """

    matrix: ConfusionMatrix
    bins: np.ndarray = field(default_factory=lambda: np.zeros((BINS, 3)))

    def update(self, probabilities: Tensor, labels: Tensor) -> np.ndarray:
        """Add (N, C, H, W) probabilities with labels (N, H, W); returns the predictions (N, H, W)."""
        confidence, predicted = probabilities.max(1)
        predicted = predicted.to(torch.uint8)
        self.matrix.update(predicted.cpu().numpy(), labels.cpu().numpy())
        known = labels != IGNORE
        sure = confidence[known].double()
        right = (predicted == labels)[known].double()
        # Bins are open below and closed above, as in nearfar.evaluation.ece.
        place = (sure * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
        for column, values in enumerate((torch.ones_like(sure), sure, right)):
            self.bins[:, column] += torch.bincount(place, values, minlength=BINS).cpu().numpy()
        return predicted.cpu().numpy()

    def __add__(self, other: AppearanceCounts) -> AppearanceCounts:
        return AppearanceCounts(self.matrix + other.matrix, self.bins + other.bins)

    @property
    def ece(self) -> float:
        """Expected calibration error of pixels: see :func:`nearfar.evaluation.ece`."""
        return float(np.abs(self.bins[:, 2] - self.bins[:, 1]).sum() / max(self.bins[:, 0].sum(), 1))


@dataclass
class SceneCounts:
    """Counts of every appearance of a set by name, and the share of pixels on which two of them agree, over all
    pairs; NaN where there is one appearance."""

    appearances: dict[str, AppearanceCounts]
    agreement: float

    @property
    def total(self) -> AppearanceCounts:
        """All appearances together."""
        first, *others = self.appearances.values()
        return sum(others, start=first)


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Of every held-out set, in [0, 1]:

    - ``miou <set>``: mean intersection over union, from one confusion matrix over all scenes and appearances;
    - ``agreement <set>``: share of pixels that two appearances of a scene give the same class, where there are two;
    - ``ece <set>``: expected calibration error of the predicted class's probability; lower is better.

    Per class, per appearance and per depth: :mod:`nearfar.segmentation.measures`. Of methods that learn maps without
    labels: :func:`nearfar.segmentation.pixel_probe.pixel_probe`.
    """
    if isinstance(method, DensePretraining):
        return Scores(pixel_probe(method, data, seed=seed))
    scores = Scores()
    for name, held_out in held_out_sets(data).items():
        found = count(method, held_out)
        scores[f"miou {name}"] = found.total.matrix.miou
        if not np.isnan(found.agreement):
            scores[f"agreement {name}"] = found.agreement
        scores[f"ece {name}"] = found.total.ece
        scores.direct(lower=[f"ece {name}"])
    return scores


def held_out_sets(data: Data) -> Mapping[str, Data]:
    """The collection's held-out sets, or itself when it has none."""
    return data.splits() or {"data": data}


def count(method: Method, data: Data) -> SceneCounts:
    """Segment every appearance of every scene of labelled scenes."""
    if not isinstance(method, SegmentationMethod):
        raise TypeError(f"only a segmenter predicts classes of pixels; {type(method).__name__} is none")
    found: dict[str, AppearanceCounts] = {}
    agreed = pixels = 0
    for names, images, labels in scenes(data, method.device):
        predictions = []
        for column, name in enumerate(names):
            counts = found.setdefault(name, AppearanceCounts(ConfusionMatrix(method.num_classes)))
            with method.frozen():
                probabilities = method.encoder.logits(images[:, column]).float().softmax(1)
            predictions.append(counts.update(probabilities, labels))
        for a, b in itertools.combinations(predictions, 2):
            agreed += int((a == b).sum())
            pixels += a.size
    return SceneCounts(found, agreed / pixels if pixels else float("nan"))


def scenes(data: Data, device: torch.device) -> Iterator[tuple[tuple[str, ...], Tensor, Tensor]]:
    """The names of the appearances, images (N, A, 3, H, W) and labels (N, H, W) of all scenes in order."""
    for _, batch in in_order(data, BATCH):
        images, labels = to_device((batch.images, batch.labels), device)
        known = tuple(getattr(data, "appearances", ()))
        yield (
            known if len(known) == images.shape[1] else tuple(f"appearance {i}" for i in range(images.shape[1])),
            images,
            labels,
        )
