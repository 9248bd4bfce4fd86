"""SimCLR: a simple framework for contrastive learning of visual representations."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import nt_xent
from nearfar.parts import MLPHead
from nearfar.parts.heads import LastNorm
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod, together


class SimCLR(ImageMethod):
    """Chen et al., 2020, arXiv 2002.05709.

    Two strong random views of an image are each other's positive among all other views of the batch (NT-Xent),
    compared in a projected space that is thrown away after training. It needs large batches, or many steps; with
    a batch of 32 use MoCo.

    The released TensorFlow code reports twice this loss (it adds both directions); learning rates copied from
    it are comparable after halving the loss, which LARS is blind to.

    Args:
        encoder: image encoder, by name or as a module.
        projection_hidden: width of the projection head's hidden layer.
        projection_dim: width of the space where views are compared.
        projection_layers: Linear layers in the head: 2 in the paper, 3 in the released v2 code.
        last_norm: what follows the head's last Linear: ``none`` as in the paper, or ``bn``, which the released code
            has there (in ImageNet runs of v1 and of v2 alike).
        temperature: divides the similarities, above 0; 0.1 on ImageNet, 0.5 on CIFAR-10.
        views: recipe of random views.
        optimization: LARS with the paper's linear scaling.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        projection_hidden: int = 2048,
        projection_dim: int = 128,
        projection_layers: int = 2,
        last_norm: LastNorm = "none",
        temperature: float = 0.1,
        views: str = "simclr",
        optimization: Optimization = Optimization("lars", lr=0.3, lr_batch=256, weight_decay=1e-6, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(
            self.features, projection_hidden, projection_dim, layers=projection_layers, last_norm=last_norm
        )
        self.temperature = temperature

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z1, z2 = self.gather(*together(self.network, views))
        return nt_xent(z1, z2, temperature=self.temperature)
