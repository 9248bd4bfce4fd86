"""Pseudo-labels of a finished segmenter for a whole set of pictures, every class held to its own standard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.method import Segmenter

EVERY = 10
"""Of the confidences of an image's class every tenth is looked at, in reading order."""


@torch.no_grad()
def averaged_probabilities(segmenter: Segmenter, images: Tensor, scales: Sequence[float] = (1.0,)) -> Tensor:
    """Probabilities (N, C, H, W), averaged over the sizes in ``scales`` and over pictures and their mirror images."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images
    height, width = pixels.shape[2:]
    total = torch.zeros((), device=pixels.device)
    for scale in scales:
        size = (max(round(height * scale), 1), max(round(width * scale), 1))
        resized = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
        for mirrored in (False, True):
            logits = segmenter.logits(resized.flip(-1) if mirrored else resized).float()
            logits = F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
            total = total + (logits.flip(-1) if mirrored else logits).softmax(1)
    return total / (2 * len(scales))


def probabilities(segmenter: Segmenter, images: Iterable[Tensor], scales: Sequence[float] = (1.0,)) -> Iterator[Tensor]:
    """:func:`averaged_probabilities` of batch after batch, on the segmenter's device."""
    device = next(segmenter.parameters()).device
    for batch in images:
        yield averaged_probabilities(segmenter, batch.to(device), scales)


def class_thresholds(probabilities: Iterable[Tensor], classes: int, portion: float = 0.2) -> Tensor:
    """Per class the probability that the surest ``portion`` of the pixels predicted as it reach (CMA,
    ``helpers/pseudo_labels.py``).

    Of each image's pixels of a class every tenth counts. With the n surest of a class wanted, the threshold is the
    n-th probability, and 1 for a class with too few pixels for one of them to count.

    Args:
        probabilities: batches (N, C, H, W).
        classes: C.
        portion: in (0, 1].

    Returns:
        (C,) in [0, 1].
    """
    if not 0.0 < portion <= 1.0:
        raise ValueError(f"portion must be in (0, 1], got {portion}")
    found: list[list[Tensor]] = [[] for _ in range(classes)]
    for batch in probabilities:
        for confidence, predicted in zip(*batch.max(1), strict=True):
            for c in predicted.unique().tolist():
                found[c].append(confidence[predicted == c][::EVERY].cpu())
    thresholds = torch.ones(classes)
    for c, parts in enumerate(found):
        values = torch.cat(parts).sort(descending=True).values if parts else torch.empty(0)
        wanted = int(len(values) * portion)
        if wanted > 0:
            thresholds[c] = values[wanted - 1]
    return thresholds


def balanced_labels(probabilities: Tensor, thresholds: Tensor) -> Tensor:
    """Classes (N, H, W) int64 with the largest ratio of probability to threshold; 255 where it is below 1."""
    ratio, labels = (probabilities / thresholds.to(probabilities).view(1, -1, 1, 1)).max(1)
    return torch.where(ratio >= 1, labels, IGNORE)
