"""IWM: image world models."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.losses import latent_prediction
from nearfar.parts import Masking, MomentumEncoder
from nearfar.training import Optimization
from nearfar.vision.masked import MaskedImageMethod, block_masking
from nearfar.vision.method import ImageBatch, different_pictures
from nearfar.vision.views import Recipe, apply
from nearfar.vision.world_model import WorldModel, photometric_action


class WorldViews(NamedTuple):
    """A source with patches left out, a target in other colours, and what leads from one to the other.

    ``images``, ``target`` (N, 3, H, W) of one crop; ``kept``, ``hidden``: see
    :class:`nearfar.vision.masked.MaskedViews`; ``action`` (N, ACTIONS), see
    :func:`nearfar.vision.world_model.photometric_action`.
    """

    images: Tensor
    target: Tensor
    kept: Tensor
    hidden: Tensor
    action: Tensor


class IWM(MaskedImageMethod):
    """Garrido et al., 2024, arXiv 2403.00504 (Learning and leveraging world models in visual representation learning).

    A joint-embedding predictive architecture whose predictor is told what was done to the picture: from the patches of
    a distorted source it predicts what a slowly moving copy of the encoder says of the hidden patches of a target in
    other colours. A predictor with enough capacity and conditioning comes to apply the change to latents (see
    :func:`nearfar.vision.measures.equivariance`); then the encoder keeps what the change does. With a weak predictor or
    none the encoder becomes invariant, as contrastive methods are from the start.

    There is no released code; masks, teacher and schedule are I-JEPA's, on which it builds. Which patches are predicted
    is ambiguous in the paper: here those that were left out of the source. Only the source gets destructive changes
    (blur, grey, solarisation). I-JEPA's weight decay rises over the run; here it is constant.

    Args:
        encoder: a vision transformer that can leave patches out, by name (``vit-...``) or as a module.
        predictor_width: width of the predictor, divisible by 4 and by its heads.
        predictor_depth: blocks of the predictor: 18 tend to make it a world model, 12 an invariant one.
        predictor_heads: attention heads of the predictor.
        conditioning: how the predictor is told the action: ``feature`` joins it to every mask token, ``sequence`` adds
            a token for each of its numbers, ``none`` does not tell it.
        blocks: rectangles that are hidden; what they cover together is predicted.
        least_area, greatest_area: share of the patches that each rectangle covers.
        strength: of the colour jitter, as a factor of 0.4, 0.4, 0.2 and 0.1.
        destructive: factor on the probabilities of the source's blur (0.2), grey (0.2) and solarisation (0.1), in
            [0, 5].
        metric: of the prediction: ``l2`` or ``smooth_l1`` (I-JEPA).
        normalise: give the targets mean 0 and variance 1 over their features (I-JEPA).
        momentum: of the teacher at the start.
        crop_min: least share of the image's area that the random crop keeps.
        flip: probability of mirroring left to right.
        optimization: AdamW, preset for 300 epochs of 2,048 images, of which 40 are warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "vit-b16",
        *,
        predictor_width: int = 384,
        predictor_depth: int = 18,
        predictor_heads: int = 12,
        conditioning: str = "feature",
        blocks: int = 4,
        least_area: float = 0.15,
        greatest_area: float = 0.2,
        strength: float = 1.0,
        destructive: float = 1.0,
        metric: str = "l2",
        normalise: bool = False,
        momentum: float = 0.996,
        crop_min: float = 0.2,
        flip: float = 0.5,
        optimization: Optimization = Optimization(lr=1e-3, weight_decay=0.04, warmup=0.13),
    ) -> None:
        target = Recipe(
            scale=(crop_min, 1.0),
            flip=flip,
            jitter_p=0.8,
            brightness=0.4 * strength,
            contrast=0.4 * strength,
            saturation=0.2 * strength,
            hue=0.1 * strength,
        )
        super().__init__(encoder, target, optimization)
        if not 0 <= destructive <= 5:
            raise ValueError(f"destructive must be in [0, 5], got {destructive}")
        self.source = target.with_(blur_p=0.2 * destructive, gray_p=0.2 * destructive, solarize_p=0.1 * destructive)
        self.blocks, self.areas = blocks, (least_area, greatest_area)
        self.metric, self.normalise = metric, normalise
        self.predictor = WorldModel(
            self.features, predictor_width, predictor_depth, predictor_heads, conditioning=conditioning
        )
        self.teacher = MomentumEncoder(self.encoder, momentum)

    def mask(self, count: int, grid: tuple[int, int]) -> Masking:
        return block_masking(count, grid, self.generator, blocks=self.blocks, area=self.areas)

    def views(self, batch: ImageBatch) -> WorldViews:  # type: ignore[override]
        (images,) = different_pictures(batch.images, 1, self.generator)
        tall, wide = images.shape[2:] if batch.sizes is None else batch.sizes.unbind(1)
        recipe = self.recipes[0]
        size = recipe.with_(size=recipe.size or batch.side).output_size(*images.shape[2:])
        source, target = (r.draw(len(images), tall, wide, self.generator) for r in (self.source, recipe))
        target = dataclasses.replace(target, boxes=source.boxes, flip=source.flip)
        first, second = (apply(images, draws, size) for draws in (source, target))
        masking = self.mask(len(images), self.grid(first))
        return WorldViews(first, second, *masking, photometric_action(source, target))

    def loss(self, views: WorldViews) -> Tensor:  # type: ignore[override]
        said = self.predictor(self.seen(views.images, views.kept), views.kept, self.grid(views.images), views.action)
        return latent_prediction(
            said, self.latents(views.target), views.hidden, metric=self.metric, normalise=self.normalise
        )

    @torch.no_grad()
    def latents(self, images: Tensor) -> Tensor:
        """What the teacher says of every patch of whole pictures, (N, L, C)."""
        return self.teacher.module.maps(images)[:, 1:]  # type: ignore[operator]

    def after_step(self) -> None:
        self.teacher.update(self.encoder, self.progress)

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "teacher": self.teacher})

    def encode(self, batch: object) -> Tensor:
        """The mean of the teacher's patches: I-JEPA has no class token, and evaluates the teacher."""
        images = batch.images if isinstance(batch, ImageBatch) else batch
        assert isinstance(images, Tensor)
        return self.latents(images[:, 0] if images.ndim == 5 else images).mean(1)
