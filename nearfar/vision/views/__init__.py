"""Random views of whole batches of images, on the CPU and on accelerators.

>>> recipe = RECIPES["simclr"][0].with_(size=96)
>>> generator = torch.Generator().manual_seed(0)
>>> view = recipe(images, generator)  # (N, 3, H, W) uint8 -> (N, 3, 96, 96) float32 in [0, 1]

A :class:`Recipe` says what is varied. Its :meth:`~Recipe.draw` makes every random number of a batch,
:func:`apply` turns images and numbers into views.
"""

from nearfar.vision.views.dispatch import Backend, apply, blur_radius
from nearfar.vision.views.draws import Draws
from nearfar.vision.views.recipe import Recipe, two_views
from nearfar.vision.views.recipes import (
    RECIPES,
    byol,
    evaluation,
    gentle,
    identity,
    moco_v1,
    moco_v2,
    moco_v3,
    multicrop,
    recipe_pair,
    simclr,
    simclr_small,
)

__all__ = [
    "RECIPES",
    "Backend",
    "Draws",
    "Recipe",
    "apply",
    "blur_radius",
    "byol",
    "evaluation",
    "gentle",
    "identity",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "multicrop",
    "recipe_pair",
    "simclr",
    "simclr_small",
    "two_views",
]
