"""Contrast of aligned patches against a queue, and the entropy of predictions: the losses of CMA."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, full_precision
from nearfar.losses.contrast.infonce import info_nce


@full_precision
def aligned_patch_contrast(
    anchor: Tensor,
    positive: Tensor,
    confidence: Tensor,
    negatives: Tensor,
    *,
    temperature: float | Tensor = 0.3,
    grid: int = 7,
    min_confidence: float = 0.2,
) -> Tensor:
    r"""The cross-domain contrastive loss of CMA (arXiv 2303.05194; ``models/losses.py``, ``CDCLoss``).

    Both maps are multiplied by the confidence c of their alignment and averaged over ``grid`` x ``grid`` patches.
    Patches whose mean confidence is at least ``min_confidence`` and whose vectors are not 0 must each find their
    counterpart among the negatives (InfoNCE of cosines); the mean is over those patches of all images. Without any
    the loss is 0 (the released code gives NaN).

    Args:
        anchor: (N, C, h, w), from the picture in the adverse condition.
        positive: (N, C, h, w), from the picture in the normal condition, warped onto the anchor's view. Detach it.
        confidence: (N, 1, h, w) in [0, 1].
        negatives: (K, C), patches of *adverse* pictures: then the condition tells nothing about which is right.
        temperature: divides the cosines, above 0.
        grid: patches each way, at least 1.
        min_confidence: from which mean confidence on a patch takes part.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: maps that are not floating.
        ValueError: shapes, devices or a temperature that do not fit.
    """
    anchor, positive, confidence, negatives = floating(
        anchor=anchor, positive=positive, confidence=confidence, negatives=negatives
    )
    if anchor.ndim != 4 or anchor.shape != positive.shape:
        raise ValueError(
            f"anchor and positive must be maps of one shape (N, C, h, w), got {tuple(anchor.shape)} and "
            f"{tuple(positive.shape)}"
        )
    if confidence.shape != (len(anchor), 1, *anchor.shape[2:]):
        expected = (len(anchor), 1, *anchor.shape[2:])
        raise ValueError(f"confidence must have shape {expected}, got {tuple(confidence.shape)}")
    if grid < 1:
        raise ValueError(f"grid must be at least 1, got {grid}")
    a, p = (patches(x * confidence, grid) for x in (anchor, positive))
    sure = patches(confidence, grid).squeeze(1) >= min_confidence
    kept = sure & (a != 0).any(1) & (p != 0).any(1)
    if not kept.any():
        return (anchor * 0).sum()
    return info_nce(a[kept], p[kept], negatives=negatives, in_batch=False, temperature=temperature)


def patches(feature_map: Tensor, grid: int) -> Tensor:
    """Means over ``grid`` x ``grid`` patches of a map (N, C, h, w), as rows (N * grid * grid, C)."""
    return F.adaptive_avg_pool2d(feature_map, grid).permute(0, 2, 3, 1).flatten(0, 2)


@full_precision
def normalized_entropy(logits: Tensor) -> Tensor:
    r"""Mean entropy of predictions as a share of the largest possible, :math:`-\sum_c p_c \ln p_c / \ln C`.

    Minimised, it makes a segmenter decide (CMA, ``models/losses.py``); alone it also makes it decide wrongly.

    Args:
        logits: (N, C, ...), at least 2 classes.

    Returns:
        A scalar in [0, 1].
    """
    (logits,) = floating(logits=logits)
    if logits.ndim < 2 or logits.shape[1] < 2:
        raise ValueError(f"logits must have shape (N, C, ...) with at least 2 classes, got {tuple(logits.shape)}")
    log_p = torch.log_softmax(logits, 1)
    return -(log_p.exp() * log_p).sum(1).mean() / math.log(logits.shape[1])
