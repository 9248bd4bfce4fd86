"""Space Engage: pseudo-labels of logits and of prototypes, each supervising the other's space."""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses import prototype_contrast
from nearfar.losses._checks import choice
from nearfar.parts import ClassPrototypes, MomentumEncoder
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.cutmix import cut_mix_mask, with_the_next
from nearfar.segmentation.data.adaptation import AdaptationBatch
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder, decoder_head
from nearfar.segmentation.method import (
    SegmentationMethod,
    Segmenter,
    cross_entropy,
    draw_appearances,
    hard_pixel_cross_entropy,
)
from nearfar.segmentation.mixing import strong_augmentation, strong_draws
from nearfar.segmentation.pseudo_labels import without_dropout
from nearfar.training import Optimization


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
        optimization: Optimization = Optimization(
            "sgd", lr=6.4e-3, weight_decay=5e-4, schedule="linear", floor=0.0156, decay_all=True
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
        self.supervision = choice("supervision", supervision, ("cross", "logits", "agreement"))
        if min(unsupervised_weight, contrast_weight) < 0:
            raise ValueError(
                "unsupervised_weight and contrast_weight must be at least 0, "
                f"got {unsupervised_weight} and {contrast_weight}"
            )
        if supervision != "logits" and unsupervised_weight > 0 and contrast_weight == 0:
            raise ValueError(
                f"supervision={supervision!r} asks prototypes, which nothing trains with contrast_weight = 0; take "
                "supervision='logits', or unsupervised_weight = 0 for the labelled images alone"
            )
        if supervision != "logits":
            warn_if_out_of_reach(self.num_classes, proto_temperature, {"sure": sure, "easy": easy})
        self.representation = decoder_head(
            decoder, self.encoder.backbone.widths, representation_dim, width=decoder_width
        )
        if contrast_weight == 0:
            self.representation.requires_grad_(False)
        self.teacher = MomentumEncoder(self.network, momentum, "warmup")
        without_dropout(self.teacher)
        self.prototypes = ClassPrototypes(self.num_classes, representation_dim, proto_momentum)
        self.proto_temperature, self.contrast_temperature = proto_temperature, contrast_temperature
        self.sure, self.contrasted, self.easy = sure, contrasted, easy
        self.queries, self.negatives, self.hard_pixels = queries, negatives, hard_pixels
        self.unsupervised_weight, self.contrast_weight = unsupervised_weight, contrast_weight

    @property
    def network(self) -> nn.ModuleList:
        """What the teacher follows: the segmenter and the decoder of representations."""
        return nn.ModuleList([self.encoder, self.representation])

    def views(self, batch: AdaptationBatch) -> SpaceViews:
        draw = self.generator
        images, labels = self.crop(draw_appearances(batch.images, 1, draw)[:, 0], batch.labels, draw)
        unlabelled, _ = self.crop(draw_appearances(batch.targets, 1, draw)[:, 0], None, draw)
        believed = self.believe(unlabelled)
        count, _, height, width = unlabelled.shape
        mask = cut_mix_mask(count, height, width, draw)
        mixed = with_the_next(mask, unlabelled)
        strong = strong_augmentation(mixed, strong_draws(mixed, draw))
        return SpaceViews(images, labels, strong, *(with_the_next(mask, x) for x in believed))

    def believe(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The teacher's classes and probabilities (N, H, W), by logits and by prototypes."""
        segmenter, representation = self.teacher.module.children()
        assert isinstance(segmenter, Segmenter)
        maps = segmenter.maps(images)
        size = (images.shape[2], images.shape[3])
        logits = segmenter.decode(maps, size)
        cosines = F.interpolate(
            self.prototypes.cosines(representation(maps)), size=size, mode="bilinear", align_corners=False
        )
        sure_logits, by_logits = logits.float().softmax(1).max(1)
        sure_prototypes, by_prototypes = (cosines / self.proto_temperature).softmax(1).max(1)
        if self.supervision == "agreement":
            by_logits = by_prototypes = torch.where(by_logits == by_prototypes, by_logits, IGNORE)
        return by_logits, sure_logits, by_prototypes, sure_prototypes

    def loss(self, views: SpaceViews) -> dict[str, Tensor]:
        # Apart, as the released code does: batch norm sees labelled and unlabelled images by themselves.
        logits, maps = self.segment(views.images)
        if self.hard_pixels:
            supervised = hard_pixel_cross_entropy(logits, views.labels, least=self.hard_pixels)
        else:
            supervised = cross_entropy(logits, views.labels, average="valid")
        terms = {"supervised": supervised}
        if self.unsupervised_weight == self.contrast_weight == 0:
            return terms
        unlabelled_logits, unlabelled_maps = self.segment(views.unlabelled)
        by_prototypes = self.supervision == "cross"
        pseudo = views.by_prototypes if by_prototypes else views.by_logits
        confidence = views.sure_prototypes if by_prototypes else views.sure_logits
        terms["unsupervised"] = self.unsupervised_weight * self.follow(unlabelled_logits, pseudo, confidence)
        if self.contrast_weight > 0:
            vectors = torch.cat([self.representation(maps), self.representation(unlabelled_maps)])
            chosen = torch.where(views.sure_logits >= self.contrasted, views.by_logits, IGNORE)
            labels = torch.cat([views.labels, chosen])
            logits = torch.cat([logits, unlabelled_logits]).detach()
            terms["contrast"] = self.contrast_weight * ramp_down(self.progress) * self.contrast(vectors, labels, logits)
        return terms

    def follow(self, logits: Tensor, pseudo: Tensor, confidence: Tensor) -> Tensor:
        """Cross-entropy with pseudo-labels, each image weighted by its share of sure pixels.

        As in the released code the mean is over the pixels whose term is above 0."""
        labelled = (pseudo != IGNORE).sum((1, 2), keepdim=True).clamp_min(1)
        weight = (confidence >= self.sure).sum((1, 2), keepdim=True) / labelled
        terms = F.cross_entropy(logits.float(), pseudo, ignore_index=IGNORE, reduction="none")
        return (weight * terms).sum() / (terms > 0).sum().clamp_min(1)

    def contrast(self, maps: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
        """The contrast of the pixels of representation maps (M, D, h, w) with prototypes, which it also moves."""
        size = maps.shape[2:]
        rows = maps.permute(0, 2, 3, 1).flatten(0, 2).float()
        small = F.interpolate(labels.unsqueeze(1).float(), size=size, mode="nearest").long().flatten()
        if self.supervision == "logits":
            scores = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        else:
            scores = self.prototypes.cosines(maps.detach()) / self.proto_temperature
        probability = scores.softmax(1).permute(0, 2, 3, 1).flatten(0, 2)
        own = probability.gather(1, small.clamp_max(self.num_classes - 1).unsqueeze(1)).squeeze(1)
        sums = self.prototypes.sums(rows, small)
        self.collect(sums=sums[None])
        moved = self.prototypes.moved(self.gather(sums[None])[0].sum(0))
        return prototype_contrast(
            rows,
            small,
            moved,
            hard=own < self.easy,
            queries=self.queries,
            negatives=self.negatives,
            temperature=self.contrast_temperature,
            generator=self.generator,
        )

    def after_step(self) -> None:
        self.teacher.update(self.network)
        if self.contrast_weight > 0:
            self.prototypes.store(self.prototypes.moved(self.collected("sums").sum(0)))


def ramp_down(progress: float, *, sharpness: float = 5.0) -> float:
    """The contrast's share of its weight: 1 at the start of a run, ``exp(-sharpness)`` at its end."""
    return math.exp(-sharpness * progress**2)


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
