"""DAFormer: self-training with a context-aware decoder and three stabilisers."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses._checks import mean_where
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.data.adaptation import AdaptationScenes
from nearfar.segmentation.encoders import pyramid_encoder
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder
from nearfar.segmentation.methods.dacs import DACS, MixedViews
from nearfar.training import Data, Optimization


class DAFormer(DACS):
    """Self-training for transformers (Hoyer, Dai and Van Gool, 2022, arXiv 2111.14887).

    :class:`~nearfar.segmentation.methods.dacs.DACS` with a decoder that fuses all depths with context, and

    - rare-class sampling: source scenes are drawn so that rare classes come up often;
    - feature distance: on source pixels of countable things, the deepest features must stay near those of a frozen
      reference, so that what ImageNet taught is not forgotten. It means something only for a pretrained
      ``encoder``: set its weight to 0 for one with random weights;
    - a warm-up of the learning rate.

    The released code draws both pictures' windows independently and counts rare classes per window; so does this.

    Args:
        encoder: segmentation backbone, by name or as a module; ``hf:nvidia/mit-b5`` for the paper's.
        num_classes: number of classes; taken from the data when not given.
        decoder: ``daformer``; ``segformer`` or ``daformer-conv`` for its ablation.
        decoder_width: width of the decoder.
        head_lr: the decoder's learning rate as a multiple of the backbone's.
        crop: which part of source and target is trained on.
        momentum: largest momentum of the teacher.
        threshold: probability from which a pixel of the target counts as sure.
        ignore_top: untrusted rows at the top of targets.
        ignore_bottom: untrusted rows at the bottom of targets.
        ignore_sides: untrusted columns on either side of targets.
        rare_class_temperature: the lower, the more often rare classes are asked for; None samples uniformly.
        rare_class_pixels: of which scenes must show more to be drawn for a class, and windows half as many.
        rare_crop_ratio: that half; 2 in HRDA.
        feature_distance: weight of the distance to the reference.
        things: classes it is taken on; those of the data that are countable when not given, all without such.
        thing_share: share of a class among the pixels of a feature from which on the feature is of that class.
        reference: the frozen encoder, by name or as a module; the encoder's own initial weights when not given.
        optimization: how the parameters move.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b5",
        num_classes: int | None = None,
        *,
        decoder: Decoder = "daformer",
        decoder_width: int = 256,
        head_lr: float = 10.0,
        crop: Crop = Crop(size=(512, 512)),
        momentum: float = 0.999,
        threshold: float = 0.968,
        ignore_top: int = 0,
        ignore_bottom: int = 0,
        ignore_sides: int = 0,
        rare_class_temperature: float | None = 0.01,
        rare_class_pixels: int = 3000,
        rare_crop_ratio: float = 0.5,
        feature_distance: float = 0.005,
        things: tuple[int, ...] | None = None,
        thing_share: float = 0.75,
        reference: str | nn.Module | None = None,
        optimization: Optimization = Optimization(
            "adamw", lr=6e-5, weight_decay=0.01, warmup=0.0375, schedule="linear"
        ),
    ) -> None:
        super().__init__(
            encoder,
            num_classes,
            decoder=decoder,
            decoder_width=decoder_width,
            head_lr=head_lr,
            crop=crop,
            momentum=momentum,
            threshold=threshold,
            ignore_top=ignore_top,
            ignore_bottom=ignore_bottom,
            ignore_sides=ignore_sides,
            optimization=optimization,
        )
        self.rare_class_temperature, self.rare_class_pixels = rare_class_temperature, rare_class_pixels
        self.rare_crop_ratio = rare_crop_ratio
        self.feature_distance, self.things, self.thing_share = feature_distance, things, thing_share
        self.reference: nn.Module | None = None
        if feature_distance > 0:
            kept = copy.deepcopy(self.encoder.backbone) if reference is None else pyramid_encoder(reference)
            self.reference = kept.requires_grad_(False)

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        if self.rare_class_temperature is None:
            return data.order(rng)
        if not isinstance(data, AdaptationScenes):
            raise TypeError(
                f"rare-class sampling needs AdaptationScenes, labelled scenes beside unlabelled ones, got "
                f"{type(data).__name__}; set rare_class_temperature to none for other collections"
            )
        return data.rare_class_order(rng, self.rare_class_temperature, self.rare_class_pixels)

    @property
    def rare_pixels(self) -> float:
        return self.rare_class_pixels * self.rare_crop_ratio

    def terms(self, views: MixedViews) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor]]:
        terms, maps, mixed_maps = super().terms(views)
        if self.reference is not None:
            images = self.reference_images(views.source.flatten(0, 1))
            with torch.no_grad():
                kept = self.reference.eval().maps(images)[-1]  # type: ignore[operator]
            labels = views.labels.repeat(len(views.source), 1, 1)
            mask = thing_mask(labels, kept.shape[2:], self.num_classes, self.things, self.thing_share)  # type: ignore[arg-type]
            terms["feature distance"] = self.feature_distance * distance_to_reference(maps[-1], kept, mask)
        return terms, maps, mixed_maps

    def reference_images(self, images: Tensor) -> Tensor:
        """What the reference is shown beside the encoder's source images."""
        return images


def distance_to_reference(features: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Mean over the positions of a mask (N, h, w) of ``||f - f_ref||_2`` between maps (N, C, h, w); 0 for an empty
    mask (DAFormer, eq. 8; its code has NaN there, without a gradient)."""
    # The square root has no gradient at 0, where every run with its own initial weights as reference begins.
    squares = (features.float() - reference.float()).square().sum(1)
    distance = torch.where(squares > 0, squares.clamp_min(1e-12).sqrt(), squares)
    return mean_where(distance, mask)


def thing_mask(
    labels: Tensor, size: tuple[int, int], num_classes: int, things: tuple[int, ...] | None, share: float
) -> Tensor:
    """Positions (N, h, w) of a small map where one of ``things`` covers at least ``share`` of the pixels (N, H, W)
    below (DAFormer, eq. 7). Ignored pixels count as covered by something else; ``None`` takes every class."""
    known = torch.where(labels == IGNORE, num_classes, labels)
    shares = F.adaptive_avg_pool2d(F.one_hot(known, num_classes + 1).permute(0, 3, 1, 2).float(), size)
    largest, winner = shares.max(1)
    wanted = torch.tensor(range(num_classes) if things is None else things, device=labels.device)
    return (largest >= share) & torch.isin(winner, wanted)
