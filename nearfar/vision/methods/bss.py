"""BSS: batch styles standardisation."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from nearfar.common.share import own_rows, whole_batch
from nearfar.losses import nt_xent
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, ImageMethod, different_pictures, together
from nearfar.vision.styles import exchange_style
from nearfar.vision.views import Recipe, apply


class BSS(ImageMethod):
    """Scalbert, Vakalopoulou & Couzinie-Devy, 2024, arXiv 2303.06088 (Towards domain-invariant self-supervised
    learning with batch styles standardization).

    SimCLR in which all images of a view have one style: one draw of the colour jitter, and the low-frequency Fourier
    amplitudes of one image of the batch. The two views have different styles. So neither what makes a positive nor what
    tells the negatives apart can be style, and no labels of domains are needed. For collections whose domains differ in
    texture, stain or light and tests on domains that were never seen; where colour carries the meaning it does harm.

    The share of exchanged frequencies is drawn for each view; its bounds are not in what the authors published in text
    form and are a choice here. On several processes each has its own styles, so style still helps to tell one process's
    images from another's.

    Args:
        encoder: image encoder, by name or as a module.
        projection_hidden: width of the projection head's hidden layer.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        least_share, greatest_share: bounds of the share of the spectrum that is exchanged, in [0, 1].
        standardize: ``batch`` for one style in a view, ``image`` for a style of its own for every image (ordinary
            Fourier augmentation, the baseline), ``none`` for SimCLR.
        views: recipe of random views.
        optimization: SimCLR's.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18",
        *,
        projection_hidden: int = 2048,
        projection_dim: int = 128,
        temperature: float = 0.1,
        least_share: float = 0.02,
        greatest_share: float = 1.0,
        standardize: str = "batch",
        views: str = "simclr",
        optimization: Optimization = Optimization("lars", lr=0.3, lr_batch=256, weight_decay=1e-6, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if standardize not in ("batch", "image", "none"):
            raise ValueError(f"standardize must be 'batch', 'image' or 'none', got {standardize!r}")
        if not 0 <= least_share <= greatest_share <= 1:
            raise ValueError(
                f"shares must satisfy 0 <= least_share <= greatest_share <= 1, got {least_share} and {greatest_share}"
            )
        self.head = MLPHead(self.features, projection_hidden, projection_dim)
        self.temperature, self.standardize = temperature, standardize
        self.bounds = least_share, greatest_share

    def views(self, batch: ImageBatch) -> tuple[Tensor, ...]:
        if self.standardize == "none":
            return super().views(batch)
        pictures = different_pictures(batch.images, len(self.recipes), self.generator)
        return tuple(
            self.restyled(recipe, batch._replace(images=images))
            for recipe, images in zip(self.recipes, pictures, strict=True)
        )

    def restyled(self, recipe: Recipe, batch: ImageBatch) -> Tensor:
        """One view of every image, in one style or each in another's."""
        n, _, height, width = batch.images.shape
        one = self.standardize == "batch"
        tall, wide = (height, width) if batch.sizes is None else batch.sizes.unbind(1)
        draws = recipe.draw(n, tall, wide, self.generator)
        if one:
            colours = {name: getattr(draws, name) for name in ("factors", "order", "gray", "sigma", "solarize")}
            first = {name: whole_batch(x)[:1].expand_as(x) for name, x in colours.items() if x is not None}
            draws = dataclasses.replace(draws, **first)
        size = recipe.size or batch.side
        view = apply(batch.images, draws, size)
        device, everyone = view.device, whole_batch(view)
        count = 1 if one else len(everyone)
        reference = torch.randint(len(everyone), (count,), generator=self.generator, device=device)
        low, high = self.bounds
        share = low + (high - low) * torch.rand(count, generator=self.generator, device=device)
        return own_rows(exchange_style(everyone, *(x.expand(len(everyone)) for x in (reference, share))))

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z1, z2 = self.gather(*together(self.network, views))
        return nt_xent(z1, z2, temperature=self.temperature)
