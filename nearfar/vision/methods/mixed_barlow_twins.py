"""Mixed Barlow Twins: a regulariser of mixed images against overfitting."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common.share import own_rows, whole_batch
from nearfar.losses import mixed_barlow_twins
from nearfar.losses._checks import choice
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, ImageMethod


class MixedViews(NamedTuple):
    """Two views (N, 3, H, W), their mixture, the first one's share in it (N, 1), and the order in which the second
    was mixed in (N,)."""

    first: Tensor
    second: Tensor
    mixed: Tensor
    share: Tensor
    order: Tensor


class MixedBarlowTwins(ImageMethod):
    """Bandara et al., 2023, arXiv 2312.02151 (Guarding Barlow Twins against overfitting with mixed samples).

    Barlow Twins trained for long on few images gets worse again. Here every step also shows pixel-wise mixtures of
    two images, whose correlation with the clean views must be the interpolation of the images' own. It costs a third
    pass of the encoder; with plenty of images :class:`~nearfar.vision.methods.BarlowTwins` is enough.

    Follows the released code for small images (CIFAR, STL-10, Tiny ImageNet): projections are L2-normalised before
    they are standardised. ``form="imagenet"`` is its other code, which does not, and weighs by 0.0051. On several
    processes the share in the mixture is drawn on each.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the projection head's hidden layer.
        projection_dim: width of the projections, D.
        lambd: weight of the redundancy term, at least 0.
        weight: of the mixed term on top of ``lambd``, at least 0; 4, or 2 on STL-10.
        concentration: the share of the first view in a batch's mixtures is drawn from Beta(c, c); above 0.
        form: ``small`` or ``imagenet``; see :func:`nearfar.losses.mixed_barlow_twins`.
        views: recipe of random views.
        optimization: Adam; 10 epochs of 1000 are warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50-cifar",
        *,
        hidden: int = 512,
        projection_dim: int = 1024,
        lambd: float = 1 / 128,
        weight: float = 4.0,
        concentration: float = 1.0,
        form: Literal["small", "imagenet"] = "small",
        views: str = "simclr-small",
        optimization: Optimization = Optimization("adam", lr=0.01, lr_batch=256, weight_decay=1e-6, warmup=0.01),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, hidden, projection_dim)
        self.lambd, self.weight, self.concentration = lambd, weight, concentration
        self.form = choice("form", form, ("small", "imagenet"))

    def views(self, batch: ImageBatch) -> MixedViews:
        first, second = super().views(batch)
        seed = int(torch.randint(2**62, (), generator=self.generator, device=self.device))  # the same on all processes
        drawn = np.random.default_rng(seed).beta(self.concentration, self.concentration)
        share = first.new_full((len(first), 1), float(drawn))
        everyone = whole_batch(second)
        order = torch.randperm(len(everyone), generator=self.generator, device=second.device)
        mixed = torch.lerp(everyone[own_rows(order)], first, share.view(-1, 1, 1, 1))
        return MixedViews(first, second, mixed, share, order)

    def loss(self, views: MixedViews) -> dict[str, Tensor]:
        z1, z2, mixed = (self.network(view) for view in views[:3])
        z1, z2, mixed, share = self.gather(z1, z2, mixed, views.share)
        return mixed_barlow_twins(
            z1, z2, mixed, z2[views.order], share.squeeze(1), lambd=self.lambd, weight=self.weight,
            normalize=self.form == "small", form=self.form,
        )  # fmt: skip
