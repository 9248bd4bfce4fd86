"""The published recipes of random views, each as its method's released code or paper has it.

Where they differ from torchvision's transforms in a way that a recipe cannot say,
:func:`~nearfar.vision.views.apply` tells what is done instead. All of them crop 224 x 224 pixels from
ImageNet; here a view has the size of the images that come in, or the one given with
``recipe.with_(size=...)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nearfar.spelling import meant
from nearfar.vision.views.recipe import Recipe

# Shared by all but the first version of MoCo.
COMMON = Recipe(flip=0.5, jitter_p=0.8, gray_p=0.2, blur_sigma=(0.1, 2.0))


def simclr(strength: float = 1.0, blur: bool = True) -> Recipe:
    """SimCLR (Chen et al., 2020, arXiv 2002.05709; google-research/simclr, data_util.py).

    Args:
        strength: of the colour jitter: 0.8 for brightness, contrast and saturation and 0.2 for hue, times
            this.
        blur: half of the views are blurred. The released code blurs ImageNet and not CIFAR.
    """
    return COMMON.with_(
        brightness=0.8 * strength,
        contrast=0.8 * strength,
        saturation=0.8 * strength,
        hue=0.2 * strength,
        blur_p=0.5 if blur else 0.0,
    )


def simclr_small() -> Recipe:
    """SimCLR for CIFAR: half the colour jitter and no blur."""
    return simclr(strength=0.5, blur=False)


def gentle() -> Recipe:
    """SimCLR for CIFAR with crops of at least 40% and no mirror: for digits, letters and other small pictures whose
    meaning a tight crop or a mirror would change. Not a published recipe."""
    return simclr_small().with_(scale=(0.4, 1.0), flip=0.0)


def moco_v1() -> Recipe:
    """MoCo (He et al., 2019, arXiv 1911.05722; facebookresearch/moco): colour jitter always, no blur.

    The released code turns images gray before the colour jitter and not after it. On a gray image hue and
    saturation do nothing, so the two differ in a fifth of the views, by the luma that the hue's turn changes.
    """
    return Recipe(scale=(0.2, 1.0), flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4, gray_p=0.2)


def moco_v2() -> Recipe:
    """MoCo v2 (Chen et al., 2020, arXiv 2003.04297); also SimSiam's and Jigsaw Clustering's."""
    return COMMON.with_(scale=(0.2, 1.0), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_p=0.5)


def byol() -> tuple[Recipe, Recipe]:
    """BYOL (Grill et al., 2020, arXiv 2006.07733; deepmind-research/byol, utils/augmentations.py).

    Also Barlow Twins', VICReg's and ReLIC's. The first view is always blurred; the second is in one of ten
    cases, and solarised in one of five.
    """
    common = COMMON.with_(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    return common.with_(blur_p=1.0), common.with_(blur_p=0.1, solarize_p=0.2)


def moco_v3(crop_min: float = 0.2) -> tuple[Recipe, Recipe]:
    """MoCo v3 (Chen et al., 2021, arXiv 2104.02057; facebookresearch/moco-v3): BYOL's with other crops.

    Args:
        crop_min: smallest share of the area; 0.2 for ResNets and 0.08 for vision transformers (CONFIG.md).
    """
    first, second = byol()
    return first.with_(scale=(crop_min, 1.0)), second.with_(scale=(crop_min, 1.0))


def solo_learn(kind: str) -> tuple[Recipe, Recipe]:
    """The views of solo-learn's CIFAR-10 runs (vturrisi/solo-learn, scripts/pretrain/cifar).

    Args:
        kind: ``weak``, SimCLR's with half the colours' strength; ``asymmetric``, BYOL's without blur, the second
            solarised; ``vicreg``, both with crops of at least 20% and now and then solarised.
    """
    if kind == "weak":
        view = COMMON.with_(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_p=0.5)
        return view, view
    sharp = COMMON.with_(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, blur_p=0.0)
    if kind == "asymmetric":
        return sharp, sharp.with_(solarize_p=0.2)
    both = sharp.with_(scale=(0.2, 1.0), solarize_p=0.1)
    return both, both


def multicrop(
    sizes: Sequence[int] = (224, 96),
    counts: Sequence[int] = (2, 6),
    scales: Sequence[tuple[float, float]] = ((0.14, 1.0), (0.05, 0.14)),
    strength: float = 1.0,
) -> tuple[Recipe, ...]:
    """SwAV's views (Caron et al., 2020, arXiv 2006.09882; facebookresearch/swav, src/multicropdataset.py).

    A few large views and many small ones of small parts, with SimCLR's colours.

    Args:
        sizes: side of the views of each kind in pixels.
        counts: how many of each kind.
        scales: range of the area of each kind.
        strength: of the colour jitter.

    Returns:
        One recipe per view, kind after kind.

    Raises:
        ValueError: the three sequences differ in length.
    """
    if not len(sizes) == len(counts) == len(scales):
        raise ValueError(
            f"sizes, counts and scales need one entry per kind of crop, got {len(sizes)}, {len(counts)} "
            f"and {len(scales)}"
        )
    return tuple(
        simclr(strength).with_(size=size, scale=scale)
        for size, count, scale in zip(sizes, counts, scales, strict=True)
        for _ in range(count)
    )


def identity() -> Recipe:
    """The image itself as float."""
    return Recipe(scale=None)


def evaluation(size: int, centre: float = 224 / 256) -> Recipe:
    """The central square, for evaluation: "resize to 256, crop the central 224" is a share of 224 / 256.

    The square is cut first, to whole pixels, and resized once; the usual two steps resize everything first.
    The share 1, the largest square, suits images that are as small as the views.
    """
    return Recipe(size=size, scale=None, centre=centre)


RECIPES: Mapping[str, tuple[Recipe, ...]] = MappingProxyType(
    {
        "simclr": (simclr(), simclr()),
        "simclr-small": (simclr_small(), simclr_small()),
        "gentle": (gentle(), gentle()),
        "moco-v1": (moco_v1(), moco_v1()),
        "moco-v2": (moco_v2(), moco_v2()),
        "moco-v3": moco_v3(),
        "byol": byol(),
        "swav": multicrop(),
        "solo-weak": solo_learn("weak"),
        "solo-asymmetric": solo_learn("asymmetric"),
        "solo-vicreg": solo_learn("vicreg"),
        "identity": (identity(), identity()),
    }
)
"""The recipes of each name, one per view."""


def recipe_pair(views: str | Recipe | Sequence[Recipe]) -> tuple[Recipe, Recipe]:
    """The recipes of the two views of a method.

    Args:
        views: a name in :data:`RECIPES`, one recipe for both views, or two recipes.

    Raises:
        ValueError: an unknown name; not two recipes.
        TypeError: something that is not a recipe.
    """
    if isinstance(views, Recipe):
        return views, views
    if isinstance(views, str):
        if views not in RECIPES:
            raise ValueError(
                f"views must be one of {', '.join(RECIPES)}, or recipes; got {views!r}{meant(str(views), RECIPES)}"
            )
        recipes: Sequence[Recipe] = RECIPES[views]
    else:
        recipes = views
    if not isinstance(recipes, Sequence) or not all(isinstance(recipe, Recipe) for recipe in recipes):
        raise TypeError(f"views must be a name, a Recipe or two of them, got {views!r}")
    if len(recipes) != 2:
        raise ValueError(f"views must give two views of each image, {views!r} gives {len(recipes)}")
    return recipes[0], recipes[1]
