"""Pseudo-labels in two spaces: by class logits, and by cosines with prototypes of classes."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.method import cross_entropy, hard_pixel_cross_entropy

Beliefs = tuple[Tensor, Tensor, Tensor, Tensor]


def believed(logits: Tensor, cosines: Tensor, temperature: float, *, agreed: bool) -> Beliefs:
    """What a teacher believes of pixels in both spaces.

    Args:
        logits: (N, C, H, W) of classes.
        cosines: (N, C, h, w) with prototypes; enlarged to the logits' size.
        temperature: divides them.
        agreed: classes are 255 where the two differ.

    Returns:
        Classes (N, H, W) and their probabilities by logits, then by prototypes.
    """
    cosines = F.interpolate(cosines, size=logits.shape[2:], mode="bilinear", align_corners=False)
    sure_logits, by_logits = logits.float().softmax(1).max(1)
    sure_prototypes, by_prototypes = (cosines / temperature).softmax(1).max(1)
    if agreed:
        by_logits = by_prototypes = torch.where(by_logits == by_prototypes, by_logits, IGNORE)
    return by_logits, sure_logits, by_prototypes, sure_prototypes


def follow(logits: Tensor, pseudo: Tensor, confidence: Tensor, sure: float) -> Tensor:
    """Cross-entropy with pseudo-labels (N, H, W), each image weighted by its share of pixels that are ``sure``.

    As in the released code of Space Engage the mean is over the pixels whose term is above 0.
    """
    labelled = (pseudo != IGNORE).sum((1, 2), keepdim=True).clamp_min(1)
    weight = (confidence >= sure).sum((1, 2), keepdim=True) / labelled
    terms = F.cross_entropy(logits.float(), pseudo, ignore_index=IGNORE, reduction="none")
    return (weight * terms).sum() / (terms > 0).sum().clamp_min(1)


def supervised(logits: Tensor, labels: Tensor, hard_pixels: int) -> Tensor:
    """Cross-entropy of labelled pixels: of the hardest, at least ``hard_pixels`` of them, or at 0 of all."""
    if hard_pixels:
        return hard_pixel_cross_entropy(logits, labels, least=hard_pixels)
    return cross_entropy(logits, labels, average="valid")


def ramp_down(progress: float, *, sharpness: float = 5.0) -> float:
    """The contrast's share of its weight: 1 at the start of a run, ``exp(-sharpness)`` at its end."""
    return math.exp(-sharpness * progress**2)


def labels_on_cells(labels: Tensor, scores: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Labels (N, H, W) on the cells of smaller maps, and how probable scores (N, C, ...) find them.

    Returns:
        (N h w) classes, the nearest pixel's, and (N h w) their probabilities.
    """
    small = F.interpolate(labels.unsqueeze(1).float(), size=size, mode="nearest").long().flatten()
    if scores.shape[2:] != size:
        scores = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
    probability = scores.softmax(1).permute(0, 2, 3, 1).flatten(0, 2)
    own = probability.gather(1, small.clamp_max(scores.shape[1] - 1).unsqueeze(1)).squeeze(1)
    return small, own


class SpaceViews(NamedTuple):
    """Labelled images, and unlabelled ones with what the teacher believes of them in two spaces.

    Attributes:
        images: (N, 3, H, W) uint8 with labels (N, H, W).
        unlabelled: (N, 3, H, W) float in [0, 1], mixed and strongly augmented.
        by_logits, by_prototypes: (N, H, W) classes, 255 where the two must agree and do not.
        sure_logits, sure_prototypes: (N, H, W) their probabilities.
    """

    images: Tensor
    labels: Tensor
    unlabelled: Tensor
    by_logits: Tensor
    sure_logits: Tensor
    by_prototypes: Tensor
    sure_prototypes: Tensor

    def believed(self, *, by_prototypes: bool) -> tuple[Tensor, Tensor]:
        """Classes and their probabilities in one of the spaces."""
        if by_prototypes:
            return self.by_prototypes, self.sure_prototypes
        return self.by_logits, self.sure_logits


def warn_if_out_of_reach(classes: int, temperature: float, thresholds: dict[str, float]) -> None:
    """Warn where no cosines can give a probability as large as a threshold.

    The most that a softmax of K cosines can reach is that of one 1 and K - 1 times -1.
    """
    if not temperature > 0:
        raise ValueError(f"proto_temperature must be above 0, got {temperature}")
    best = 1 / (1 + (classes - 1) * math.exp(-2 / temperature))
    missed = [f"{name} = {value}" for name, value in thresholds.items() if value > best]
    if missed:
        warnings.warn(
            f"With {classes} classes and proto_temperature = {temperature} no probability by prototypes can exceed "
            f"{best:.3f}, so {' and '.join(missed)} is never reached: pseudo-labels by prototypes get no weight, "
            "or every pixel counts as hard. Lower proto_temperature or the threshold.",
            UserWarning,
            stacklevel=3,
        )


def check_supervision(supervision: str, unsupervised_weight: float, contrast_weight: float) -> None:
    """Raises:
    ValueError: a weight below 0, or labels by prototypes that nothing trains.
    """
    if min(unsupervised_weight, contrast_weight) < 0:
        raise ValueError(
            "unsupervised_weight and contrast_weight must be at least 0, got "
            f"{unsupervised_weight} and {contrast_weight}"
        )
    if supervision != "logits" and unsupervised_weight > 0 and contrast_weight == 0:
        raise ValueError(
            f"supervision={supervision!r} asks prototypes, which nothing trains with contrast_weight = 0; take "
            "supervision='logits', or unsupervised_weight = 0 for the labelled images alone"
        )
