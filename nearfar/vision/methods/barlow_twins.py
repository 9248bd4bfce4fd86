"""Barlow Twins: self-supervised learning via redundancy reduction."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nearfar.losses import barlow_twins
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.training.optimization import trainable
from nearfar.vision.method import ImageMethod


class BarlowTwins(ImageMethod):
    """Zbontar et al., 2021, arXiv 2103.03230.

    The correlation between the dimensions of two views' projections, over the batch, should be the identity:
    each dimension agrees with itself and tells nothing of the others. No negatives, no teacher, and moderate
    batches do. It wants projections much wider than the representation; where memory forbids that use VICReg or
    SimSiam.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the projection head's hidden layers.
        projection_dim: width of the projections, D.
        lambd: weight of the redundancy term, at least 0; scale it with 1 / D.
        vector_rate: learning rate of tensors with one dimension (biases, norms) as a share of the others': the
            released code trains them with 0.0048 where weights have 0.2. Use 1 with an adaptive optimiser.
        views: recipe of random views; those of BYOL, unlike in blur and solarisation.
        optimization: LARS with the paper's linear scaling; 10 epochs of 1000 are warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 8192,
        projection_dim: int = 8192,
        lambd: float = 0.0051,
        vector_rate: float = 0.024,
        views: str = "byol",
        optimization: Optimization = Optimization(
            "lars", lr=0.2, lr_batch=256, weight_decay=1e-6, warmup=0.01, floor=0.001
        ),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, hidden, projection_dim, layers=3, bias=False)
        self.lambd, self.vector_rate = lambd, vector_rate

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z1, z2 = self.gather(*(self.network(view) for view in views))
        return barlow_twins(z1, z2, lambd=self.lambd)

    def parameter_groups(self) -> list[dict[str, Any]]:
        every = trainable(self)
        vectors = {"params": [p for p in every if p.ndim == 1], "lr_scale": self.vector_rate}
        return [{"params": [p for p in every if p.ndim != 1]}, vectors]
