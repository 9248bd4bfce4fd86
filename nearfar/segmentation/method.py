"""Scenes in several appearances with one label map, and what every segmentation method shares."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.encoders import PyramidEncoder, pyramid_encoder
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder, decoder_head
from nearfar.training import Method, Optimization
from nearfar.training.optimization import trainable


class SceneBatch(NamedTuple):
    """Images (N, A, 3, H, W) uint8 of N scenes in A appearances, labels (N, H, W) int64 that hold for all of
    them (255 is ignored), positions in the collection (N,) int64."""

    images: Tensor
    labels: Tensor
    rows: Tensor


class Segmenter(nn.Module):
    """A backbone and its decoder: what a segmentation run keeps.

    ``logits`` is the prediction, ``maps`` the backbone's features at several depths, the module itself one vector
    per image (the mean of the deepest map).

    Args:
        backbone: gives maps at several strides.
        head: maps to logits at the finest map's size.
    """

    def __init__(self, backbone: PyramidEncoder, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.out_features = backbone.out_features

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def maps(self, images: Tensor) -> list[Tensor]:
        return self.backbone.maps(images)

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (N, classes, *size) of the backbone's maps."""
        return F.interpolate(self.head(maps), size=size, mode="bilinear", align_corners=False)

    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, classes, H, W) at the images' size."""
        return self.decode(self.maps(images), images.shape[2:])  # type: ignore[arg-type]


class SegmentationMethod(Method):
    """A segmenter: a backbone with maps at several depths, and a decoder.

    Args:
        encoder: a name that :func:`nearfar.segmentation.encoders.pyramid_encoder` knows, or a module.
        num_classes: number of classes.
        optimization: how the parameters move.
        decoder: ``segformer`` or ``daformer``, see :mod:`nearfar.segmentation.heads`.
        decoder_width: width of the decoder.
        head_lr: the decoder's learning rate as a multiple of the backbone's; 10 in SegFormer and DAFormer, where the
            backbone is pretrained.
        crop: which part of each scene is trained on, and at which scale.
    """

    can_collapse = False

    def __init__(
        self,
        encoder: str | nn.Module,
        num_classes: int | None,
        optimization: Optimization,
        *,
        decoder: Decoder = "segformer",
        decoder_width: int = 256,
        head_lr: float = 10.0,
        crop: Crop = Crop(),
    ) -> None:
        super().__init__(optimization)
        if num_classes is None:
            raise ValueError("num_classes is needed: the number of classes of the label maps")
        if head_lr <= 0:
            raise ValueError(f"head_lr must be above 0, got {head_lr}")
        backbone = pyramid_encoder(encoder)
        self.encoder: Segmenter = Segmenter(  # type: ignore[assignment]
            backbone, decoder_head(decoder, backbone.widths, num_classes, width=decoder_width)
        )
        self.num_classes, self.head_lr, self.crop = num_classes, head_lr, crop

    def segment(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, classes, H, W) at the images' size, and the backbone's maps."""
        maps = self.encoder.maps(images)
        return self.encoder.decode(maps, images.shape[2:]), maps  # type: ignore[arg-type]

    def predict(self, images: Tensor) -> Tensor:
        """Class numbers (N, H, W) of the most likely class."""
        return self.encoder.logits(images).argmax(1)

    def encode(self, batch: Any) -> Tensor:
        """One vector per image; of a batch of scenes, that of each scene's first appearance."""
        images = getattr(batch, "images", batch)
        return self.encoder(images[:, 0] if images.ndim == 5 else images)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The backbone, and everything else at ``head_lr`` times its rate."""
        backbone = trainable(self.encoder.backbone)
        own = {id(p) for p in backbone}
        others = [p for p in trainable(self) if id(p) not in own]
        return [{"params": backbone}, {"params": others, "lr_scale": self.head_lr}]


def cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor | None = None, average: Literal["all", "valid"] = "all"
) -> Tensor:
    """Cross-entropy of pixels, ``mean over p of w_p CE(logits_p, labels_p)``; ignored pixels give 0.

    Args:
        logits: (N, C, h, w); brought to the labels' size, bilinearly, where they differ.
        labels: (N, H, W) int64, 255 is ignored.
        weight: (N, H, W) or a scalar, multiplies the pixels' terms.
        average: ``all`` divides by the number of pixels, ignored ones too, as mmsegmentation and all code built on
            it does; ``valid`` by the number of labelled pixels.
    """
    if average not in ("all", "valid"):
        raise ValueError(f"average must be 'all' or 'valid', got {average!r}")
    if logits.shape[2:] != labels.shape[1:]:
        logits = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
    terms = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="none")
    if weight is not None:
        terms = terms * weight
    count = labels.numel() if average == "all" else (labels != IGNORE).sum().clamp_min(1)
    return terms.sum() / count


def hard_pixel_cross_entropy(logits: Tensor, labels: Tensor, *, threshold: float = 0.7, least: int = 50_000) -> Tensor:
    """Cross-entropy of the pixels that are told wrongly or barely: online hard example mining.

    The mean over labelled pixels whose class gets at most ``threshold``, or, where these are fewer than ``least``,
    at most what the ``least`` hardest get. Of fewer labelled pixels than that all count (ReCo's and Space Engage's
    ``ProbOhemCrossEntropy2d``; 0.7 and 50,000 on Cityscapes).

    Args:
        logits: (N, C, h, w); brought to the labels' size, bilinearly, where they differ.
        labels: (N, H, W) int64, 255 is ignored.
        threshold: probability of the true class, in (0, 1].
        least: pixels that always count, at least 1.
    """
    if not 0 < threshold <= 1 or least < 1:
        raise ValueError(f"threshold must be in (0, 1] and least at least 1, got {threshold} and {least}")
    if logits.shape[2:] != labels.shape[1:]:
        logits = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
    terms = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="none")[labels != IGNORE]
    if len(terms) >= least:
        own = (-terms.detach()).exp()
        terms = terms[own <= own.kthvalue(least).values.clamp_min(threshold)]
    return terms.sum() / max(len(terms), 1)


def draw_appearances(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` random appearances (N, count, 3, H, W) of every scene of (N, A, 3, H, W), different ones while A
    lasts."""
    of_each, device = images.shape[1], images.device
    order = for_examples(lambda n: torch.rand(n, of_each, generator=generator, device=device), len(images)).argsort(1)
    order = order[:, torch.arange(count, device=images.device) % images.shape[1]]
    return images[torch.arange(len(images), device=images.device)[:, None], order]
