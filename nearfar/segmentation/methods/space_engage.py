"""Space Engage: pseudo-labels of logits and of prototypes, each supervising the other's space."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from nearfar.losses import prototype_contrast
from nearfar.losses._checks import choice
from nearfar.parts import ClassPrototypes, MomentumEncoder
from nearfar.segmentation import spaces
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.cutmix import cut_mix_mask, with_the_next
from nearfar.segmentation.data.adaptation import AdaptationBatch
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder, decoder_head
from nearfar.segmentation.method import SegmentationMethod, Segmenter, draw_appearances
from nearfar.segmentation.mixing import strong_augmentation, strong_draws
from nearfar.segmentation.pseudo_labels import without_dropout
from nearfar.segmentation.spaces import SpaceViews
from nearfar.training import Optimization

RELEASED = Optimization("sgd", lr=6.4e-3, weight_decay=5e-4, schedule="linear", floor=0.0156, decay_all=True)


class SpaceEngage(SegmentationMethod):
    r"""Wang et al., 2023, arXiv 2307.09755 (released code: WangChangqi98/CSS, ``cross_label.py``).

    Semi-supervised segmentation with two spaces: class logits, and representations that are compared with moving
    averages of each class (prototypes). A mean teacher labels unlabelled pixels in both. The labels by prototypes
    supervise the logits, the labels by logits choose the pixels that are contrasted with prototypes:
    :math:`L = L_{sup} + L_{unsup} + e^{-5 t^2} L_{con}` with t the share of the run that is over.

    Settings that differ from the released code, each with its reason. ``proto_temperature`` is 0.1, its class's
    default, where its script passes 0.5: with 21 classes the largest probability that cosines can reach at 0.5 is 0.73,
    so no pixel ever reaches ``sure`` = 0.97, the weight of :math:`L_{unsup}` is exactly 0 and every pixel counts as
    hard; a setting that cannot reach its threshold warns. The backbone is one with SegFormer's decoder
    instead of DeepLabv3+, the representation has a decoder of its own on the same maps, and maps are enlarged without
    aligned corners as everywhere in this library. The scale of unlabelled crops is drawn before the teacher sees them.
    Online hard example mining, which the released code has on Cityscapes, is ``hard_pixels=50000``. The student is what
    is kept and measured.

    Args:
        encoder: segmentation backbone, by name or as a module.
        num_classes: number of classes; taken from the data when not given.
        decoder: decoder of logits and of representations, see :mod:`nearfar.segmentation.heads`.
        decoder_width: width of both decoders.
        head_lr: the decoders' learning rate as a multiple of the backbone's.
        crop: which part of labelled and unlabelled images is trained on.
        supervision: whose pseudo-labels the logits learn: ``cross`` (those by prototypes, the paper's main variant),
            ``logits`` (their own; the released baseline ``ori_pseudo.py``), or ``agreement`` (where both agree,
            ``mix_label.py``).
        representation_dim: width of a representation.
        momentum: largest momentum of the teacher; its average warms up.
        proto_momentum: of the prototypes.
        proto_temperature: divides cosines where they become probabilities, above 0.
        contrast_temperature: divides cosines in the contrast, above 0.
        sure: probability from which a pixel counts towards its image's weight (``un_threshold``).
        contrasted: the teacher's probability from which an unlabelled pixel is contrasted (``weak_threshold``).
        easy: pixels to which the student's prototypes give their class at least this are no queries
            (``strong_threshold``).
        queries, negatives: rows drawn per class and per query, see :func:`nearfar.losses.dense.prototype_contrast`.
        hard_pixels: labelled images are learned from at their hard pixels, at least so many of a batch (see
            :func:`nearfar.segmentation.method.hard_pixel_cross_entropy`); 0 for all pixels.
        unsupervised_weight: weight of the pseudo-labels' loss, at least 0.
        contrast_weight: weight of the contrast at the start, at least 0. With both 0 it is training on the labelled
            images alone.
        optimization: SGD with a linear decay (the released code's power is 0.9).
    """

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b2",
        num_classes: int | None = None,
        *,
        decoder: Decoder = "segformer",
        decoder_width: int = 256,
        head_lr: float = 1.0,
        crop: Crop = Crop(size=(512, 512), scale=(0.5, 1.5), max_share=1.0),
        supervision: Literal["cross", "logits", "agreement"] = "cross",
        representation_dim: int = 256,
        momentum: float = 0.99,
        proto_momentum: float = 0.99,
        proto_temperature: float = 0.1,
        contrast_temperature: float = 0.5,
        sure: float = 0.97,
        contrasted: float = 0.7,
        easy: float = 0.8,
        queries: int = 256,
        negatives: int = 512,
        hard_pixels: int = 0,
        unsupervised_weight: float = 1.0,
        contrast_weight: float = 1.0,
        optimization: Optimization = RELEASED,
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
        self.supervision = choice("supervision", supervision, ("cross", "logits", "agreement"))
        spaces.check_supervision(supervision, unsupervised_weight, contrast_weight)
        if supervision != "logits":
            spaces.warn_if_out_of_reach(self.num_classes, proto_temperature, {"sure": sure, "easy": easy})
        widths = self.encoder.backbone.widths
        self.representation = decoder_head(decoder, widths, representation_dim, width=decoder_width)
        self.representation.requires_grad_(contrast_weight > 0)
        self.teacher = MomentumEncoder(self.network, momentum, "warmup")
        without_dropout(self.teacher)
        self.prototypes = ClassPrototypes(self.num_classes, representation_dim, proto_momentum)
        self.proto_temperature, self.sure, self.contrasted, self.easy = proto_temperature, sure, contrasted, easy
        self.drawn: dict[str, Any] = {"queries": queries, "negatives": negatives, "temperature": contrast_temperature}
        self.unsupervised_weight, self.contrast_weight = unsupervised_weight, contrast_weight
        self.hard_pixels = hard_pixels

    @property
    def network(self) -> nn.ModuleList:
        """What the teacher follows: the segmenter and the decoder of representations."""
        return nn.ModuleList([self.encoder, self.representation])

    def views(self, batch: AdaptationBatch) -> SpaceViews:
        draw = self.generator
        images, labels = self.crop(draw_appearances(batch.images, 1, draw)[:, 0], batch.labels, draw)
        unlabelled, _ = self.crop(draw_appearances(batch.targets, 1, draw)[:, 0], None, draw)
        beliefs = self.believe(unlabelled)
        height, width = unlabelled.shape[2:]
        mask = cut_mix_mask(len(unlabelled), height, width, draw)
        mixed = with_the_next(mask, unlabelled)
        strong = strong_augmentation(mixed, strong_draws(mixed, draw))
        return SpaceViews(images, labels, strong, *(with_the_next(mask, x) for x in beliefs))

    def believe(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The teacher's classes and probabilities (N, H, W), by logits and by prototypes."""
        segmenter, representation = self.teacher.module.children()
        assert isinstance(segmenter, Segmenter)
        maps = segmenter.maps(images)
        logits = segmenter.decode(maps, (images.shape[2], images.shape[3]))
        cosines = self.prototypes.cosines(representation(maps))
        return spaces.believed(logits, cosines, self.proto_temperature, agreed=self.supervision == "agreement")

    def loss(self, views: SpaceViews) -> dict[str, Tensor]:
        # Apart, as the released code does: batch norm sees labelled and unlabelled images by themselves.
        logits, maps = self.segment(views.images)
        terms = {"supervised": spaces.supervised(logits, views.labels, self.hard_pixels)}
        if self.unsupervised_weight == self.contrast_weight == 0:
            return terms
        unlabelled_logits, unlabelled_maps = self.segment(views.unlabelled)
        pseudo = views.believed(by_prototypes=self.supervision == "cross")
        terms["unsupervised"] = self.unsupervised_weight * spaces.follow(unlabelled_logits, *pseudo, sure=self.sure)
        if self.contrast_weight > 0:
            vectors = torch.cat([self.representation(maps), self.representation(unlabelled_maps)])
            chosen = torch.where(views.sure_logits >= self.contrasted, views.by_logits, IGNORE)
            labels = torch.cat([views.labels, chosen])
            logits = torch.cat([logits, unlabelled_logits]).detach()
            weight = self.contrast_weight * spaces.ramp_down(self.progress)
            terms["contrast"] = weight * self.contrast(vectors, labels, logits)
        return terms

    def contrast(self, maps: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
        """The contrast of the pixels of representation maps (M, D, h, w) with prototypes, which it also moves."""
        rows = maps.permute(0, 2, 3, 1).flatten(0, 2).float()
        cosines = None if self.supervision == "logits" else self.prototypes.cosines(maps.detach())
        scores = logits if cosines is None else cosines / self.proto_temperature
        small, own = spaces.labels_on_cells(labels, scores, (maps.shape[2], maps.shape[3]))
        sums = self.prototypes.sums(rows, small)
        self.collect(sums=sums[None])
        moved = self.prototypes.moved(self.gather(sums[None])[0].sum(0))
        return prototype_contrast(rows, small, moved, hard=own < self.easy, generator=self.generator, **self.drawn)

    def after_step(self) -> None:
        self.teacher.update(self.network)
        if self.contrast_weight > 0:
            self.prototypes.store(self.prototypes.moved(self.collected("sums").sum(0)))
