"""Poly-View contrastive learning: every view against all other views of its image."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import poly_view
from nearfar.losses.contrast.polyview import PolyViewVariant
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod, together


class PolyView(ImageMethod):
    """Shidani et al., 2024, arXiv 2403.05490.

    SimCLR with more than two views of each image, which are compared all together instead of two by two. At an equal
    number of views in a batch, many views of few images learn faster than two views of many: where SimCLR would take
    batches of thousands of images, or a thousand epochs, some hundred images with eight views each do. With two views
    it is SimCLR.

    Args:
        encoder: image encoder, by name or as a module.
        view_count: views of each image, M, at least 2. Divide the batch size by what you multiply them by.
        variant: how the comparisons are joined: ``geometric`` mean, ``arithmetic`` mean, ``sufficient-statistics``
            (the mean of the other views is the positive) or ``multi-crop`` (SimCLR's loss of every two views); see
            :func:`nearfar.losses.poly_view`.
        projection_hidden: width of the projection head's hidden layer.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        views: recipe of random views.
        optimization: SimCLR's.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        view_count: int = 8,
        variant: PolyViewVariant = "geometric",
        projection_hidden: int = 2048,
        projection_dim: int = 128,
        temperature: float = 0.1,
        views: str = "simclr",
        optimization: Optimization = Optimization("lars", lr=0.3, lr_batch=256, weight_decay=1e-6, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, optimization, count=view_count)
        self.head = MLPHead(self.features, projection_hidden, projection_dim)
        self.variant: PolyViewVariant = variant
        self.temperature = temperature

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        embeddings = self.gather(*together(self.network, views))
        return poly_view(embeddings, temperature=self.temperature, variant=self.variant)
