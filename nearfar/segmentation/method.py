"""Scenes in several appearances with one label map, and what every segmentation method shares."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.segmentation.encoders import SegFormerHead, pyramid_encoder
from nearfar.training import Method, Optimization

IGNORE = 255


class SceneBatch(NamedTuple):
    """Images (N, A, 3, H, W) uint8 of N scenes in A appearances, labels (N, H, W) int64 that hold for all of
    them (255 is ignored), positions in the collection (N,) int64."""

    images: Tensor
    labels: Tensor
    rows: Tensor


class SegmentationMethod(Method):
    """A segmenter: a backbone with maps at several depths and SegFormer's decoder.

    Args:
        encoder: a name that :func:`nearfar.segmentation.encoders.pyramid_encoder` knows, or a module.
        num_classes: number of classes.
        decoder_width: width of the decoder.
        optimization: how the parameters move.
    """

    can_collapse = False

    def __init__(
        self, encoder: str | nn.Module, num_classes: int | None, decoder_width: int, optimization: Optimization
    ) -> None:
        super().__init__(optimization)
        if num_classes is None:
            raise ValueError("num_classes is needed: the number of classes of the label maps")
        self.encoder = pyramid_encoder(encoder)
        self.head = SegFormerHead(self.encoder.widths, num_classes, width=decoder_width)  # type: ignore[arg-type]

    def segment(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, classes, H, W) at the images' size, and the backbone's maps."""
        maps = self.encoder.maps(images)  # type: ignore[operator]
        logits = self.head(maps)
        return F.interpolate(logits, size=images.shape[2:], mode="bilinear", align_corners=False), maps

    def predict(self, images: Tensor) -> Tensor:
        """Class numbers (N, H, W) of the most likely class."""
        return self.segment(images)[0].argmax(1)

    def encode(self, batch: Any) -> Tensor:
        """One vector per image; of a batch of scenes, that of each scene's first appearance."""
        return self.encoder(batch.images[:, 0] if isinstance(batch, SceneBatch) else batch)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over labelled pixels; 0 when there are none."""
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp_min(1)


def flip_together(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror half of the scenes left to right, every appearance and the label map alike."""
    mirrored = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    shape = (-1, *[1] * (images.ndim - 1))
    images = torch.where(mirrored.view(shape), images.flip(-1), images)
    return images, torch.where(mirrored.view(-1, 1, 1), labels.flip(-1), labels)
