"""What a teacher believes of unlabelled images, and how far it is trusted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class PseudoLabels(NamedTuple):
    """Classes (N, H, W) int64, their probabilities (N, H, W) in [0, 1], and the weight of the pixels in the loss:
    a scalar for the batch, or (N, 1, 1) for each image."""

    labels: Tensor
    confidence: Tensor
    weight: Tensor


@torch.no_grad()
def pseudo_labels(logits: Tensor, threshold: float = 0.968, *, per_image: bool = False) -> PseudoLabels:
    """The most likely classes of a teacher, all weighted by the share of pixels it is sure of.

    ``q = #(max probability >= threshold) / #pixels`` (DACS, eq. 4): early on the teacher is sure of little and
    its labels count little. No pixel is left out.

    Args:
        logits: (N, C, H, W) of the teacher, at the size of the images.
        threshold: from which probability on a pixel counts as sure, in [0, 1]; 0.968 in DACS and its heirs.
        per_image: a share for every image, instead of one for the batch as in the released DACS and DAFormer.
    """
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    if logits.ndim != 4:
        raise ValueError(f"logits must have shape (N, C, H, W), got {tuple(logits.shape)}")
    confidence, labels = logits.float().softmax(1).max(1)
    sure = (confidence >= threshold).float()
    return PseudoLabels(labels, confidence, sure.mean((1, 2), keepdim=True) if per_image else sure.mean())


def without_dropout(module: nn.Module) -> nn.Module:
    """Switch dropout and stochastic depth off for good, whatever the mode: a teacher's labels are its best guess,
    while its batch norm stays that of its own batches. Changes ``module`` and returns it."""
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
        if isinstance(getattr(part, "drop_prob", None), float):
            part.drop_prob = 0.0  # type: ignore[assignment]
    return module
