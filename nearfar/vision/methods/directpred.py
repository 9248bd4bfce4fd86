"""DirectPred, DirectSet, DirectCopy: a predictor that is computed, not trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.losses import byol_regression
from nearfar.parts import DirectPredictor, MLPHead, MomentumEncoder
from nearfar.parts.momentum import Schedule
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class DirectPred(ImageMethod):
    """Tian, Chen & Ganguli, 2021, arXiv 2102.06810; DirectSet and DirectCopy: Wang et al., 2021, arXiv 2110.04947.

    BYOL with one linear predictor that no gradient trains: after every step it is set from the correlation matrix of
    the online network's projections, with which a trained one would align. It shows why methods without negatives
    do not collapse, and does as well as BYOL's two-layer predictor with batch norm. Weight decay is a part of the
    mechanism: keep it.

    Defaults are the released code's for STL-10 and CIFAR-10 (batches of 128, 100 epochs). Its projection head has
    batch norm without affine parameters.

    Departure: DirectCopy divides the correlation by its largest singular value before ``eps`` is added, as the paper
    does; the released code adds ``eps`` to the correlation as it is, which is ``scaled=False``.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the projection head's hidden layer.
        projection_dim: width of projections and predictions.
        alpha: exponent of the eigenvalues, above 0: 0.5 is DirectPred, 1 DirectCopy (no eigenvectors needed),
            anything else DirectSet.
        eps: what the predictor adds to every direction, at least 0.
        rho: weight of the past in the running correlation, in [0, 1).
        eps_inside: ``eps`` under the exponent; see :class:`nearfar.parts.DirectPredictor`.
        centred: take the running mean out of the correlation.
        scaled: divide the correlation by its largest eigenvalue; ``False`` is for ``alpha=1``.
        every: steps between two settings of the predictor; above 1 gradients train it in between.
        momentum: of the target network at the start.
        momentum_schedule: ``cosine`` rises to 1 over the run.
        views: recipe of random views.
        optimization: SGD that decays every parameter.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18",
        *,
        hidden: int = 512,
        projection_dim: int = 128,
        alpha: float = 0.5,
        eps: float = 0.01,
        rho: float = 0.3,
        eps_inside: bool = False,
        centred: bool = False,
        scaled: bool = True,
        every: int = 1,
        momentum: float = 0.996,
        momentum_schedule: Schedule = "constant",
        views: str = "simclr",
        optimization: Optimization = Optimization(
            "sgd", lr=0.03, weight_decay=4e-4, schedule="constant", decay_all=True
        ),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, hidden, projection_dim)
        self.predictor = DirectPredictor(
            projection_dim, alpha=alpha, eps=eps, rho=rho, every=every,
            eps_inside=eps_inside, centred=centred, scaled=scaled,
        )  # fmt: skip
        self.target_network = MomentumEncoder(self.network, momentum, momentum_schedule)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        f1, f2 = (self.network(view) for view in views)
        self.collect(first=f1, second=f2)
        t1, t2 = (self.target_network(view) for view in views)
        return byol_regression(self.predictor(f1), self.predictor(f2), t1, t2)

    def after_step(self) -> None:
        self.move_predictor(torch.cat([self.collected("first"), self.collected("second")]))
        self.target_network.update(self.network, self.progress)

    def move_predictor(self, projections: Tensor) -> None:
        """What the predictor learns from both views' projections (2 N, D) of a step."""
        self.predictor.update(projections)
