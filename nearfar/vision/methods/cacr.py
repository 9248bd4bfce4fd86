"""CACR: contrastive attraction and contrastive repulsion."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import cacr
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod, together


class CACR(ImageMethod):
    """Zheng et al., 2023, arXiv 2105.03746.

    Several views of each image attract each other, the more the farther they are apart; views of other images repel,
    the more the nearer they are. The weights come from the distances themselves, so hard pairs count without being
    searched for, and gains are largest where the classes are of unlike size. More than two views are needed for the
    first half.

    Follows the released code for small images (all negatives from the batch, gradients through the weights; there
    without a projection head, here with one as in its code for ImageNet). That code lowers the rate after 155, 170
    and 185 of 200 epochs; here it follows a cosine.

    Args:
        encoder: image encoder, by name or as a module.
        view_count: views of each image, at least 2; the released code has one and four positives.
        projection_hidden: width of the projection head's hidden layer.
        projection_dim: width of the space where views are compared.
        tau_pos: how much more far positives weigh, at least 0; 0 weighs all the same.
        tau_neg: how much more near negatives weigh, at least 0; 0.9 on CIFAR-10, 2 on CIFAR-100 and STL-10.
        alpha: weight of the attraction, at least 0.
        beta: weight of the repulsion, at least 0.
        weighted: ``False`` weighs all positives and all negatives the same.
        detach_weights: no gradient through the weights, as in the released code for ImageNet.
        views: recipe of random views.
        optimization: SGD with linear scaling.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18-cifar",
        *,
        view_count: int = 5,
        projection_hidden: int = 512,
        projection_dim: int = 128,
        tau_pos: float = 1.0,
        tau_neg: float = 0.9,
        alpha: float = 1.0,
        beta: float = 1.0,
        weighted: bool = True,
        detach_weights: bool = False,
        views: str = "moco-v1",
        optimization: Optimization = Optimization("sgd", lr=0.12, lr_batch=256, weight_decay=1e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization, count=view_count)
        self.head = MLPHead(self.features, projection_hidden, projection_dim, norm="none")
        self.settings = {"tau_pos": tau_pos, "tau_neg": tau_neg, "alpha": alpha, "beta": beta}
        self.weighted, self.detach_weights = weighted, detach_weights

    def loss(self, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        embeddings = self.gather(*together(self.network, views))
        return cacr(embeddings, **self.settings, weighted=self.weighted, detach_weights=self.detach_weights)
