"""BYOL: bootstrap your own latent."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import byol_regression
from nearfar.parts import MLPHead, MomentumEncoder
from nearfar.parts.momentum import Schedule
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class BYOL(ImageMethod):
    """Grill et al., 2020, arXiv 2006.07733.

    The online network predicts, from one view, what a slowly moving copy of itself says of the other view. No
    negatives. The predictor and the stop-gradient keep it from collapsing; with tiny batches batch norm becomes
    unreliable and MoCo is the safer choice.

    The target network normalises with its own batches' statistics (train mode), as the released code does.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the hidden layer of both heads.
        projection_dim: width of projections and predictions.
        predictor_layers: Linear layers of the predictor; 0 removes it (the ablation that collapses).
        last_bias: whether the last Linear of each head has a bias; the released code's have none.
        momentum: of the target network at the start: 0.996 for 1000 epochs, 0.99 for 100 to 300.
        momentum_schedule: ``cosine`` rises to 1 over the run.
        views: recipe of random views; BYOL's two views differ in blur and solarisation.
        optimization: LARS with the paper's linear scaling, preset for 100 epochs.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 4096,
        projection_dim: int = 256,
        predictor_layers: int = 2,
        last_bias: bool = True,
        momentum: float = 0.99,
        momentum_schedule: Schedule = "cosine",
        views: str = "byol",
        optimization: Optimization = Optimization("lars", lr=0.45, lr_batch=256, weight_decay=1e-6, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, hidden, projection_dim, bias=last_bias)
        self.predictor: nn.Module = nn.Identity()
        if predictor_layers > 0:
            self.predictor = MLPHead(projection_dim, hidden, projection_dim, layers=predictor_layers, bias=last_bias)
        self.target_network = MomentumEncoder(self.network, momentum, momentum_schedule)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        p1, p2 = (self.predictor(self.network(view)) for view in views)
        t1, t2 = (self.target_network(view) for view in views)
        return byol_regression(p1, p2, t1, t2)

    def after_step(self) -> None:
        self.target_network.update(self.network, self.progress)
