"""AMCL: adaptive multi-head contrastive learning."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.losses import amcl
from nearfar.losses.contrast.adaptive import Negatives
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod, together


class AMCL(ImageMethod):
    """Wang, Koniusz, Gedeon & Zheng, 2024, arXiv 2310.05615.

    With several kinds of augmentation some positives look less alike than some negatives. Here several projection heads
    each see a likeness of their own, and every pair has its own temperature, learned from the pair, so that an
    uncertain one counts less. Made for strong and varied augmentation; with crops alone SimCLR does as well.

    With ``max`` positives soon get the least temperature and negatives the greatest: little then holds images apart,
    and after some hundred steps on digits the representation was worse than at the start. ``logsumexp`` is stable.

    SimCLR's form of the paper's table 2; with one head, equal bounds and ``logsumexp`` it is SimCLR. The table's other
    rows are losses of temperatures that are given: :func:`nearfar.losses.tempered_contrast`,
    :func:`~nearfar.losses.tempered_regression`, :func:`~nearfar.losses.tempered_correlation`.

    Args:
        encoder: image encoder, by name or as a module.
        heads: number of projection heads, C, at least 1.
        projection_hidden: width of the heads' hidden layers.
        projection_dim: width of the spaces where views are compared.
        score_dim: width of the features whose inner product decides a pair's temperature.
        low: least temperature of a pair, above 0; the released code's 1e-5 lets the loss explode.
        high: greatest temperature of a pair, at least ``low``.
        beta: weight of the price of temperatures, at least 0.
        negatives: the hardest negative (``max``, as in the paper) or all of them (``logsumexp``).
        views: recipe of random views.
        optimization: SGD, as on CIFAR-10.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18-cifar",
        *,
        heads: int = 3,
        projection_hidden: int = 512,
        projection_dim: int = 128,
        score_dim: int = 128,
        low: float = 0.05,
        high: float = 2.0,
        beta: float = 0.1,
        negatives: Negatives = "max",
        views: str = "simclr-small",
        optimization: Optimization = Optimization("sgd", lr=0.06, weight_decay=5e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if heads < 1:
            raise ValueError(f"heads must be at least 1, got {heads}")
        made = (MLPHead(self.features, projection_hidden, projection_dim, norm="none") for _ in range(heads))
        self.heads = nn.ModuleList(made)
        self.scores = MLPHead(projection_dim, score_dim, score_dim, norm="none")
        self.low, self.high, self.beta = low, high, beta
        self.negatives: Negatives = negatives

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        seen = together(self.encoder, views)
        found = []
        for head in self.heads:
            z1, z2 = (nn.functional.normalize(head(h), dim=1) for h in seen)
            rows = self.gather(z1, z2, self.scores(z1), self.scores(z2))
            found.append(amcl(*rows, low=self.low, high=self.high, beta=self.beta, negatives=self.negatives))
        return {name: torch.stack([terms[name] for terms in found]).sum() for name in found[0]}
