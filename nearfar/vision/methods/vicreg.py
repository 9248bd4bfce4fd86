"""VICReg: variance, invariance, covariance regularisation."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import vicreg
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class VICReg(ImageMethod):
    """Bardes, Ponce & LeCun, 2021, arXiv 2105.04906.

    Three terms, each seen in the log: views of an image agree (invariance), every dimension keeps a standard
    deviation of 1 over the batch (variance), and dimensions are uncorrelated (covariance). Nothing is normalised and
    the branches need not share weights, so it also fits pairs of unlike encoders; the price is three weights. With
    one network and standardised dimensions Barlow Twins has one weight.

    The paper's released code differs from its text in the scale of two terms; see
    :func:`nearfar.losses.vicreg`, which follows the code.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the expander's hidden layers.
        projection_dim: width of the embeddings, D.
        invariance: weight of the mean squared difference, at least 0.
        variance: weight of the hinge on standard deviations, at least 0; at 0 the embeddings shrink to a point.
        covariance: weight of the covariances, at least 0; at 0 dimensions repeat each other.
        views: recipe of random views; those of BYOL, unlike in blur and solarisation.
        optimization: LARS with the paper's linear scaling; 10 epochs of 1000 are warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 8192,
        projection_dim: int = 8192,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        views: str = "byol",
        optimization: Optimization = Optimization(
            "lars", lr=0.2, lr_batch=256, weight_decay=1e-6, warmup=0.01, floor=0.001
        ),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, hidden, projection_dim, layers=3, bias=False)
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        z1, z2 = self.gather(*(self.network(view) for view in views))
        return vicreg(z1, z2, **self.weights)
