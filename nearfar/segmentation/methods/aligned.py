"""Aligned appearances: features of one scene agree whatever the light and weather."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nearfar.losses import feature_distance
from nearfar.segmentation.method import SceneBatch, SegmentationMethod, cross_entropy, flip_together
from nearfar.training import Optimization


class AlignedSegmentation(SegmentationMethod):
    """The CARLA-4AGT method for domain generalisation (arXiv 2412.16592).

    Two appearances of a scene, with one label map, are segmented; beside the cross-entropy of both, the
    backbone's features of the two must agree pixel by pixel at several depths. There are no negatives. No code
    was released: the weight of the alignment and the average over the two cross-entropies are choices.

    Args:
        encoder: segmentation backbone, by name or as a module.
        num_classes: number of classes; taken from the data when not given.
        decoder_width: width of the decoder.
        alignment: weight of the alignment, at least 0; 0 is training on all appearances without it.
        metric: how features are compared: ``cosine`` (the paper's best), ``l2`` or ``mmd``.
        layers: which depths are aligned, 0 being the finest.
        optimization: AdamW with warm-up and linear decay, as DAFormer.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b5",
        num_classes: int | None = None,
        *,
        decoder_width: int = 256,
        alignment: float = 1.0,
        metric: Literal["cosine", "l2", "mmd"] = "cosine",
        layers: tuple[int, ...] = (0, 1, 2, 3),
        optimization: Optimization = Optimization("adamw", lr=6e-5, weight_decay=0.01, warmup=0.04, schedule="linear"),
    ) -> None:
        super().__init__(encoder, num_classes, decoder_width, optimization)
        self.alignment, self.metric, self.layers = alignment, metric, tuple(layers)

    def views(self, batch: SceneBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Two different appearances of every scene and their label map, mirrored together."""
        images, labels = flip_together(batch.images, batch.labels, self.generator)
        draw = torch.rand(images.shape[:2], generator=self.generator, device=images.device)
        first, second = draw.argsort(1)[:, :2].unbind(1)
        rows = torch.arange(len(images), device=images.device)
        return images[rows, first], images[rows, second], labels

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        a, b, labels = views
        # One pass for both, so that batch norm does not tell the appearances apart.
        logits, maps = self.segment(torch.cat([a, b]))
        terms = {"segmentation": cross_entropy(logits, torch.cat([labels, labels]))}
        if self.alignment > 0:
            pairs = [maps[layer].chunk(2) for layer in self.layers]
            distances = [feature_distance(x, y, metric=self.metric, generator=self.generator) for x, y in pairs]
            terms["alignment"] = self.alignment * torch.stack(distances).sum()
        return terms
