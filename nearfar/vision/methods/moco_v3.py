"""MoCo v3: momentum contrast without a queue, symmetric, with a predictor."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import info_nce
from nearfar.parts import MLPHead, MomentumEncoder
from nearfar.parts.heads import LastNorm
from nearfar.parts.momentum import Schedule
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class MoCoV3(ImageMethod):
    """Chen et al., 2021, arXiv 2104.02057 (An empirical study of training self-supervised vision transformers).

    Each view's prediction must find the other view's momentum key among the keys of the batch:
    ``2 tau [InfoNCE(q1, k2) + InfoNCE(q2, k1)]``, where the factor keeps gradients comparable with BYOL's.
    Defaults are the released code's for ResNet-50 and 100 epochs; its ViT recipe is a three-layer projection,
    a predictor that ends in batch norm (``predictor_norm="bn_no_affine"``), temperature 0.2 and AdamW.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the hidden layers of both heads.
        projection_dim: width of the space where views are compared.
        projection_layers: Linear layers of the projection head; its last batch norm has no affine parameters.
        predictor_norm: what follows the predictor's last Linear: ``none`` for ResNets, ``bn_no_affine`` in the
            released code for ViTs.
        momentum: of the key network at the start.
        momentum_schedule: ``cosine`` rises to 1 over the run.
        temperature: divides the similarities, above 0.
        views: recipe of random views.
        optimization: LARS with the paper's linear scaling.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 4096,
        projection_dim: int = 256,
        projection_layers: int = 2,
        predictor_norm: LastNorm = "none",
        momentum: float = 0.99,
        momentum_schedule: Schedule = "cosine",
        temperature: float = 1.0,
        views: str = "moco-v3",
        optimization: Optimization = Optimization("lars", lr=0.6, lr_batch=256, weight_decay=1e-6, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(
            self.features,
            hidden,
            projection_dim,
            layers=projection_layers,
            last_norm="bn_no_affine",
            bias=False,
        )
        self.predictor = MLPHead(projection_dim, hidden, projection_dim, last_norm=predictor_norm, bias=False)
        self.key_network = MomentumEncoder(self.network, momentum, momentum_schedule)
        self.temperature = temperature

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        queries = [self.predictor(self.network(view)) for view in views]
        keys = [self.key_network(view) for view in views]
        q1, q2, k1, k2 = self.gather(*queries, *keys)
        tau = self.temperature
        return 2 * tau * (info_nce(q1, k2, temperature=tau) + info_nce(q2, k1, temperature=tau))

    def after_step(self) -> None:
        self.key_network.update(self.network, self.progress)
