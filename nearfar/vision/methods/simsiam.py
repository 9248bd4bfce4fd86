"""SimSiam: simple siamese networks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nearfar.losses import negative_cosine
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class SimSiam(ImageMethod):
    """Chen & He, 2020, arXiv 2011.10566 (Exploring simple Siamese representation learning).

    BYOL without its momentum encoder: a predictor on one view's projection says what the other view's is, and no
    gradient flows into what is predicted. No negatives, no queue, no teacher. The cheapest method to start with
    at ordinary batch sizes; with fewer than some 64 images batch norm becomes unreliable and MoCo is safer.

    The loss is ``(negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2``, in [-1, 0] when it learns.

    Args:
        encoder: image encoder, by name or as a module.
        projection_dim: width of the projections and of the projection head's hidden layers.
        predictor_hidden: width of the predictor's bottleneck, a quarter of ``projection_dim`` in the paper.
        predictor_layers: Linear layers of the predictor; 0 removes it (the ablation that collapses).
        constant_predictor_rate: the predictor's learning rate does not follow the schedule, as in the released
            code's ``--fix-pred-lr``: it keeps up with the encoder to the end.
        views: recipe of random views.
        optimization: SGD that decays every parameter.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        projection_dim: int = 2048,
        predictor_hidden: int = 512,
        predictor_layers: int = 2,
        constant_predictor_rate: bool = True,
        views: str = "moco-v2",
        optimization: Optimization = Optimization("sgd", lr=0.05, lr_batch=256, weight_decay=1e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, projection_dim, projection_dim, layers=3, last_norm="bn_no_affine")
        self.predictor: nn.Module = nn.Identity()
        if predictor_layers > 0:
            self.predictor = MLPHead(projection_dim, predictor_hidden, projection_dim, layers=predictor_layers)
        self.constant_predictor_rate = constant_predictor_rate

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z1, z2 = (self.network(view) for view in views)
        return (negative_cosine(self.predictor(z1), z2) + negative_cosine(self.predictor(z2), z1)) / 2

    def parameter_groups(self) -> list[dict[str, Any]]:
        if not self.constant_predictor_rate:
            return super().parameter_groups()
        followed = {"params": [*self.network.parameters()]}
        return [followed, {"params": [*self.predictor.parameters()], "schedule": "constant"}]
