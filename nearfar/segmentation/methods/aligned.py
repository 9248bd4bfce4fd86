"""Aligned appearances: features of one scene agree whatever the light and weather."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.segmentation.alignment import Metric, StopGradient, alignment
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder
from nearfar.segmentation.method import SceneBatch, SegmentationMethod, cross_entropy, draw_appearances
from nearfar.training import Optimization


class AlignedSegmentation(SegmentationMethod):
    r"""The CARLA-4AGT method for domain generalisation (arXiv 2412.16592).

    Two appearances of a scene, with one label map, are segmented; beside the cross-entropy of both, the
    backbone's features of the two must agree pixel by pixel at several depths:
    :math:`(L_S(x^a) + L_S(x^b)) / 2 + \lambda_A \sum_l w_l D(f_l^a, f_l^b)`. There are no negatives. No code was
    released: the weight of the alignment and the average over the two cross-entropies are choices. The window and
    the mirror are one draw for both appearances and the labels.

    Args:
        encoder: segmentation backbone, by name or as a module.
        num_classes: number of classes; taken from the data when not given.
        decoder: ``segformer``, ``daformer`` or ``daformer-conv``.
        decoder_width: width of the decoder.
        head_lr: the decoder's learning rate as a multiple of the backbone's.
        crop: which part of the scene is trained on.
        alignment: weight of the alignment, at least 0; 0 is training on all appearances without it.
        metric: how features are compared: ``cosine`` (the paper's best), ``l2`` or ``mmd``.
        layers: which depths are aligned, 0 being the finest.
        layer_weights: weight of each of these; all 1 when not given.
        stop_gradient: hold neither appearance, the first or the second.
        mask_ignored: leave unlabelled pixels out of the alignment.
        optimization: AdamW with warm-up and linear decay, as DAFormer.
    """

    takes = SceneBatch

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b5",
        num_classes: int | None = None,
        *,
        decoder: Decoder = "segformer",
        decoder_width: int = 256,
        head_lr: float = 10.0,
        crop: Crop = Crop(size=(512, 512)),
        alignment: float = 1.0,
        metric: Metric = "cosine",
        layers: tuple[int, ...] = (0, 1, 2, 3),
        layer_weights: tuple[float, ...] | None = None,
        stop_gradient: StopGradient = "none",
        mask_ignored: bool = False,
        optimization: Optimization = Optimization(
            "adamw", lr=6e-5, weight_decay=0.01, warmup=0.0375, schedule="linear"
        ),
    ) -> None:
        super().__init__(
            encoder,
            num_classes,
            optimization,
            decoder=decoder,
            decoder_width=decoder_width,
            head_lr=head_lr,
            crop=crop,
        )
        self.alignment, self.metric, self.layers = alignment, metric, tuple(layers)
        self.layer_weights, self.stop_gradient, self.mask_ignored = layer_weights, stop_gradient, mask_ignored

    def views(self, batch: SceneBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Two different appearances of every scene and their label map, under one geometry."""
        images, labels = self.crop(draw_appearances(batch.images, 2, self.generator), batch.labels, self.generator)
        return images[:, 0], images[:, 1], labels

    def loss(self, views: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        a, b, labels = views
        # One pass for both, so that batch norm does not tell the appearances apart.
        logits, maps = self.segment(torch.cat([a, b]))
        terms = {"segmentation": cross_entropy(logits, torch.cat([labels, labels]))}
        if self.alignment > 0:
            terms["alignment"] = self.alignment * alignment(
                maps,
                self.layers,
                self.metric,
                self.stop_gradient,
                layer_weights=self.layer_weights,
                labels=labels if self.mask_ignored else None,
                generator=self.generator,
            )
        return terms
