"""Two views of every image, under any objective."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nearfar.parts import MLPHead
from nearfar.parts.objectives import Objective
from nearfar.parts.objectives import objective as named
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod, together


class ContrastImages(ImageMethod):
    """The five parts of contrast with the objective left open (Le-Khac et al., 2020, arXiv 2010.05113).

    It is nobody's paper: a way to try an objective on images without writing a method. With ``nt_xent`` it is SimCLR,
    with ``barlow_twins`` and ``vicreg`` those methods with SimCLR's head and views; take the named methods for what
    their papers did. Objectives that need a predictor or a moving target are methods of their own.

    Args:
        encoder: image encoder, by name or as a module.
        objective: by name; see :data:`nearfar.parts.objectives.OBJECTIVES`.
        temperature: of the objectives that have one, above 0.
        projection_hidden: width of the projection head's hidden layer.
        projection_dim: width of the space where views are compared.
        views: recipe of random views.
        optimization: AdamW, which every objective here bears.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        objective: Objective = "nt_xent",
        temperature: float = 0.1,
        projection_hidden: int = 2048,
        projection_dim: int = 128,
        views: str = "simclr",
        optimization: Optimization = Optimization("adamw", lr=1e-3, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, projection_hidden, projection_dim)
        self.objective, self.temperature = named(objective), temperature

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor | Mapping[str, Tensor]:
        z1, z2 = self.gather(*together(self.network, views))
        return self.objective(z1, z2, self.temperature)
