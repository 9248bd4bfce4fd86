"""ReLIC: representation learning via invariant causal mechanisms."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from nearfar.losses import relic
from nearfar.parts import MLPHead, MomentumEncoder
from nearfar.parts.momentum import Schedule
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class ReLIC(ImageMethod):
    """Mitrovic et al., 2020, arXiv 2010.07922.

    Instance discrimination whose answer, the distribution over "which image of the batch is this?", must be the
    same whatever pair of augmentations produced the views: InfoNCE in both directions plus ``alpha`` times the
    KL divergence between the two directions' distributions. Augmentations intervene on style, so a proxy
    prediction invariant to them depends on content alone.

    No pre-training code was released. The objective is the paper's; the skeleton (heads, target network,
    schedule) is BYOL's, on which ReLICv2's released evaluation says it builds. Temperature and alpha are not
    verified against the authors' runs.

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
        views: str = "byol",
        optimization: Optimization = Optimization("lars", lr=0.2, lr_batch=256, weight_decay=1.5e-6, warmup=0.01),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, hidden, projection_dim)
        self.target = MomentumEncoder(self.network, momentum, momentum_schedule) if target_network else None
        self.temperature, self.alpha, self.kl_mode = temperature, alpha, kl_mode

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        o1, o2 = (self.network(view) for view in views)
        t1, t2 = (self.target(view) for view in views) if self.target is not None else (o1.detach(), o2.detach())
        return relic(*self.gather(o1, o2, t1, t2), temperature=self.temperature, alpha=self.alpha, kl_mode=self.kl_mode)

    def after_step(self) -> None:
        if self.target is not None:
            self.target.update(self.network, self.progress)
