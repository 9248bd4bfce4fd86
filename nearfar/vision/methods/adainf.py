"""AdaInf: generated images help when real ones weigh more and augmentation is weaker."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import nt_xent
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod, together
from nearfar.vision.views import Recipe, recipe_pair


class AdaInf(ImageMethod):
    """Wang, Zhang & Wang, 2024, arXiv 2403.12448 (Do generated data always help contrastive learning?).

    SimCLR on real images among many generated ones. Simply adding them may hurt: generated images are a little wrong,
    and more data wants less augmentation. So a real image weighs ten generated ones, and crops and colours vary less.
    The first half is the data's business (:class:`nearfar.vision.data.Inflated`), the second this method's; lengths of
    runs are compared in steps, not epochs. Without generated images SimCLR with its own augmentation is better.

    Args:
        encoder: image encoder, by name or as a module.
        projection_hidden: width of the projection head's hidden layer.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        strength: of the colour jitter and of its probability, as shares of the recipe's, in [0, 1]; 1 leaves them.
        crop_min: least share of the area of a crop, where the recipe allows less; 0 leaves it.
        views: recipe of random views before it is weakened.
        optimization: LARS with linear scaling; 1,000 steps of 100,000 are warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18-cifar",
        *,
        projection_hidden: int = 2048,
        projection_dim: int = 256,
        temperature: float = 0.2,
        strength: float = 0.5,
        crop_min: float = 0.2,
        views: str = "simclr",
        optimization: Optimization = Optimization("lars", lr=0.2, lr_batch=256, weight_decay=1e-4, warmup=0.01),
    ) -> None:
        super().__init__(encoder, [weaker(recipe, strength, crop_min) for recipe in recipe_pair(views)], optimization)
        self.head = MLPHead(self.features, projection_hidden, projection_dim)
        self.temperature = temperature

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z1, z2 = self.gather(*together(self.network, views))
        return nt_xent(z1, z2, temperature=self.temperature)


def weaker(recipe: Recipe, strength: float, crop_min: float) -> Recipe:
    """The recipe with less colour jitter, less often, and no crops below a share of the area.

    Raises:
        ValueError: a strength or share outside [0, 1].
    """
    for name, value in (("strength", strength), ("crop_min", crop_min)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}")
    names = ("brightness", "contrast", "saturation", "hue", "jitter_p")
    changes = {name: getattr(recipe, name) * strength for name in names}
    scale = recipe.scale and (max(recipe.scale[0], crop_min), max(recipe.scale[1], crop_min))
    return recipe.with_(**changes, scale=scale)
