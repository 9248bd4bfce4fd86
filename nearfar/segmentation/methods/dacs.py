"""DACS: self-training on images mixed from both domains."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.parts import MomentumEncoder
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.data.adaptation import AdaptationBatch
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder
from nearfar.segmentation.method import SegmentationMethod, cross_entropy, draw_appearances
from nearfar.segmentation.mixing import class_mix_mask, mix, strong_augmentation, strong_draws
from nearfar.segmentation.pseudo_labels import pseudo_labels, without_dropout
from nearfar.training import Optimization


class MixedViews(NamedTuple):
    """V appearances of N scenes and their mixtures with targets.

    Attributes:
        source: (V, N, 3, H, W) uint8.
        labels: (N, H, W) int64.
        mixed: (V, N, 3, H, W) float in [0, 1]: the same classes of every appearance, the same target.
        mixed_labels: (N, H, W) int64, true ones where the mask is, the teacher's elsewhere.
        weight: (N, H, W), 1 where the label is true, the teacher's share of sure pixels elsewhere.
    """

    source: Tensor
    labels: Tensor
    mixed: Tensor
    mixed_labels: Tensor
    weight: Tensor


class DACS(SegmentationMethod):
    r"""Domain adaptation by cross-domain mixed sampling (Tranheden et al., 2021, arXiv 2007.08702).

    A mean teacher labels target images. Half of the classes of a labelled source image are pasted over a target
    image, and the student learns both the source and the mixture:
    :math:`CE(g(x_s), y_s) + mean_p\, w_p\, CE(g(x_m), y_m)` with :math:`w = 1` on pasted pixels and elsewhere the
    share of target pixels that the teacher gives at least ``threshold``.

    Backbone, optimiser and teacher are as in DAFormer's released code, which builds on DACS (there the teacher's
    momentum is 0.999, in DACS 0.99). The teacher keeps batch norm in train mode and has no dropout.

    Args:
        encoder: segmentation backbone, by name or as a module.
        num_classes: number of classes; taken from the data when not given.
        decoder: ``segformer``, ``daformer`` or ``daformer-conv``.
        decoder_width: width of the decoder.
        head_lr: the decoder's learning rate as a multiple of the backbone's.
        crop: which part of source and target is trained on; targets are cut to the source's size.
        momentum: largest momentum of the teacher, see ``warmup`` in :func:`nearfar.parts.momentum.momentum_at`.
        threshold: probability from which a pixel counts as sure.
        ignore_top: rows at the top of whole target images whose pseudo-labels are not trusted (15 in DAFormer for
            Cityscapes at half its size, for its rectification).
        ignore_bottom: the same at the bottom (120 there, for the car's bonnet).
        ignore_sides: the same for columns on either side.
        optimization: how the parameters move.
    """

    takes = AdaptationBatch

    appearances = 1

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b5",
        num_classes: int | None = None,
        *,
        decoder: Decoder = "segformer",
        decoder_width: int = 256,
        head_lr: float = 10.0,
        crop: Crop = Crop(size=(512, 512)),
        momentum: float = 0.999,
        threshold: float = 0.968,
        ignore_top: int = 0,
        ignore_bottom: int = 0,
        ignore_sides: int = 0,
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
        self.momentum, self.threshold = momentum, threshold
        self.margins = (ignore_top, ignore_bottom, ignore_sides)
        self.start_teacher()

    def start_teacher(self) -> None:
        """A copy of the segmenter as it is now; to be called again by a method that changes it afterwards."""
        self.teacher = MomentumEncoder(self.encoder, self.momentum, "warmup")
        without_dropout(self.teacher)

    def views(self, batch: AdaptationBatch) -> MixedViews:
        draw = self.generator
        images = draw_appearances(batch.images, self.appearances, draw)
        images, labels = self.crop(images, batch.labels, draw, rare=batch.rare, rare_pixels=self.rare_pixels)
        targets = draw_appearances(batch.targets, 1, draw)[:, 0]
        # A window of the target is never refused for what it shows: nobody knows. It is of the source's size.
        crop = replace(self.crop, size=(images.shape[-2], images.shape[-1]), max_share=1.0)
        targets, margin = crop(targets, margins(targets, *self.margins), draw)
        pseudo = pseudo_labels(self.teacher.module.logits(targets), self.threshold)  # type: ignore[operator]
        # The share of sure pixels is that of the global batch, whatever the number of ranks.
        trust = self.gather(pseudo.weight.view(1, 1))[0].mean() * (margin != IGNORE)
        mask = class_mix_mask(labels, draw)
        source = images.transpose(0, 1)
        strong = strong_draws(targets, draw)
        return MixedViews(
            source,
            labels,
            torch.stack([strong_augmentation(mix(mask, view, targets), strong) for view in source]),
            mix(mask, labels, pseudo.labels),
            mix(mask, torch.ones_like(trust), trust),
        )

    def loss(self, views: MixedViews) -> dict[str, Tensor]:
        return self.terms(views)[0]

    def terms(self, views: MixedViews) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor]]:
        """The loss's terms, the backbone's maps of the source and those of the mixtures (V * N each)."""
        copies = len(views.source)
        source, maps = self.supervised(views.source.flatten(0, 1), views.labels.repeat(copies, 1, 1))
        mixed, mixed_maps = self.supervised(
            views.mixed.flatten(0, 1), views.mixed_labels.repeat(copies, 1, 1), views.weight.repeat(copies, 1, 1)
        )
        return {"source": source, "mixed": mixed}, maps, mixed_maps

    def supervised(self, images: Tensor, labels: Tensor, weight: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Cross-entropy of labelled images, and the backbone's maps."""
        logits, maps = self.segment(images)
        return cross_entropy(logits, labels, weight), maps

    @property
    def rare_pixels(self) -> float:
        """Pixels of its rare class that a window should show more of; there is none without rare-class sampling."""
        return 0.0

    def after_step(self) -> None:
        self.teacher.update(self.encoder)


def margins(images: Tensor, top: int, bottom: int, sides: int) -> Tensor:
    """Maps (N, H, W) of 0, and 255 along the edges of images (N, 3, H, W)."""
    n, _, height, width = images.shape
    found = torch.full((n, height, width), IGNORE, device=images.device)
    found[:, top : height - bottom, sides : width - sides] = 0
    return found
