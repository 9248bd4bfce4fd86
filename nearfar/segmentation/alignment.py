"""Agreement of the backbone's features of one scene in two appearances, at several depths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses import feature_distance
from nearfar.segmentation.classes import IGNORE

Metric = Literal["cosine", "l2", "mmd"]
StopGradient = Literal["none", "a", "b"]


def alignment(
    maps: Sequence[Tensor],
    layers: Sequence[int],
    metric: Metric = "cosine",
    stop_gradient: StopGradient = "none",
    *,
    layer_weights: Sequence[float] | None = None,
    labels: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r""":math:`\sum_l w_l\, D(f_l^a, f_l^b)`, the consistency term of arXiv 2412.16592.

    Args:
        maps: one (2 N, C, h, w) for every depth: N scenes in appearance a, then the same N in b.
        layers: which of them take part, 0 being the finest.
        metric: see :func:`nearfar.losses.feature_distance`.
        stop_gradient: the appearance whose features are held; ``none`` moves both.
        layer_weights: one for each of ``layers``; all 1 when not given.
        labels: (N, H, W); positions whose nearest label is 255 are then left out.
        generator: the source of the positions drawn for ``mmd``.
    """
    if stop_gradient not in ("none", "a", "b"):
        raise ValueError(f"stop_gradient must be 'none', 'a' or 'b', got {stop_gradient!r}")
    weights = [1.0] * len(layers) if layer_weights is None else list(layer_weights)
    if len(weights) != len(layers):
        raise ValueError(f"layer_weights must be one for each of {len(layers)} layers, got {len(weights)}")
    if any(not -len(maps) <= layer < len(maps) for layer in layers):
        raise ValueError(f"layers must be depths of the backbone, 0 to {len(maps) - 1}, got {tuple(layers)}")
    total = maps[0].new_zeros(())
    for layer, weight in zip(layers, weights, strict=True):
        a, b = maps[layer].chunk(2)
        mask = None
        if labels is not None:
            near = F.interpolate((labels != IGNORE).float().unsqueeze(1), size=a.shape[2:], mode="nearest-exact")
            mask = near[:, 0] > 0
        if stop_gradient == "a":
            a = a.detach()
        elif stop_gradient == "b":
            b = b.detach()
        total = total + weight * feature_distance(a, b, metric, mask, generator)
    return total
