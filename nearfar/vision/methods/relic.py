"""ReLIC: representation learning via invariant causal mechanisms."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Literal

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.losses import relic, relic_multicrop
from nearfar.parts import MLPHead, MomentumEncoder
from nearfar.parts.momentum import Schedule
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, ImageMethod, different_pictures, random_view, view_recipes
from nearfar.vision.saliency import without_background


class ReLIC(ImageMethod):
    """Mitrovic et al., 2020, arXiv 2010.07922; ReLICv2: Tomasev et al., 2022, arXiv 2201.05119.

    Instance discrimination whose answer, the distribution over "which image of the batch is this?", must be the
    same whatever pair of augmentations produced the views: InfoNCE in both directions plus ``alpha`` times the
    KL divergence between the two directions' distributions. Augmentations intervene on style, so a proxy
    prediction invariant to them depends on content alone.

    No pre-training code was released. The objective is the paper's; the skeleton (heads, target network,
    schedule) is BYOL's, on which ReLICv2's released evaluation says it builds. Temperature and alpha are not
    verified against the authors' runs.

    ReLICv2 is ``large_crops=4, small_crops=2, kl_mode="sg_entropy", num_negatives=10, mask_probability=0.1``: every
    crop is compared with the target network's view of every large one (:func:`nearfar.losses.relic_multicrop`), with
    few negatives, and some large crops have lost their background. Its masks come from a network trained without
    labels; here from the images' own spectra (:func:`nearfar.vision.saliency.spectral_residual`). With several
    processes each draws its own negatives.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the critic's hidden layer.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        alpha: weight of the invariance penalty, at least 0; 0 is the baseline without it, bit for bit.
        kl_mode: where the penalty's gradient flows. ``full``: everywhere (v1, as written); ``sg_entropy``: not
            through the entropy (ReLICv2); ``sg_target``: not through the first distribution. The value is the
            same in all three.
        target_network: compare with a momentum encoder; otherwise with the online network itself, without
            gradient.
        momentum: of the target network at the start.
        momentum_schedule: ``cosine`` rises to 1 over the run.
        large_crops: views that both networks see, at least 2.
        small_crops: further views that only the online network sees.
        small_size: side of the small crops in pixels; large ones have the images' size (224 in the paper).
        small_scale: range of the small crops' area as a share of the image's.
        num_negatives: images that each is compared with, drawn from the batch; ``None`` for all others.
        mask_probability: share of the large crops in which all but what stands out is gray.
        views: recipe of random views.
        optimization: LARS with BYOL's linear scaling.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 4096,
        projection_dim: int = 256,
        temperature: float = 0.1,
        alpha: float = 1.0,
        kl_mode: Literal["full", "sg_entropy", "sg_target"] = "full",
        target_network: bool = True,
        momentum: float = 0.996,
        momentum_schedule: Schedule = "cosine",
        large_crops: int = 2,
        small_crops: int = 0,
        small_size: int = 96,
        small_scale: tuple[float, float] = (0.05, 0.14),
        num_negatives: int | None = None,
        mask_probability: float = 0.0,
        views: str = "byol",
        optimization: Optimization = Optimization("lars", lr=0.2, lr_batch=256, weight_decay=1.5e-6, warmup=0.01),
    ) -> None:
        large = view_recipes(views, large_crops)
        small = [recipe.with_(size=small_size, scale=small_scale) for recipe in islice(cycle(large), small_crops)]
        super().__init__(encoder, [*large, *small], optimization, count=large_crops + small_crops)
        self.head = MLPHead(self.features, hidden, projection_dim)
        self.target = MomentumEncoder(self.network, momentum, momentum_schedule) if target_network else None
        self.temperature, self.alpha, self.kl_mode = temperature, alpha, kl_mode
        self.large, self.num_negatives, self.mask_probability = large_crops, num_negatives, mask_probability

    def views(self, batch: ImageBatch) -> tuple[Tensor, ...]:
        pictures = different_pictures(batch.images, len(self.recipes), self.generator)
        if self.mask_probability > 0:
            for crop in range(self.large):
                device = self.generator.device
                drawn = for_examples(
                    lambda n: torch.rand(n, generator=self.generator, device=device),  # noqa: B023
                    len(batch.rows),
                )
                pictures[crop] = without_background(pictures[crop], drawn < self.mask_probability)
        crops = zip(self.recipes, pictures, strict=True)
        return tuple(random_view(recipe, batch._replace(images=images), self.generator) for recipe, images in crops)

    def loss(self, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        online = [self.network(view) for view in views]
        large = online[: self.large]
        target = [z.detach() for z in large] if self.target is None else [*map(self.target, views[: self.large])]
        z = self.gather(*online, *target)
        settings = {"temperature": self.temperature, "alpha": self.alpha, "kl_mode": self.kl_mode}
        if len(views) == 2 and self.num_negatives is None:
            return relic(*z, **settings)  # type: ignore[arg-type]
        online, target = [*z[: len(views)]], [*z[len(views) :]]
        drawn = {"num_negatives": self.num_negatives, "generator": self.generator}
        return relic_multicrop(online, target, **settings, **drawn)  # type: ignore[arg-type]

    def after_step(self) -> None:
        if self.target is not None:
            self.target.update(self.network, self.progress)
