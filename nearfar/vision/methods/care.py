"""CARE: contrastive augmentation-induced rotational equivariance."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from nearfar.losses import nt_xent, rotational_equivariance
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, ImageMethod, different_pictures, random_view, together


class EquivariantViews(NamedTuple):
    """Two independent views of every image, and two in which each group of images shares its augmentation."""

    first: Tensor
    second: Tensor
    shared_first: Tensor
    shared_second: Tensor


class CARE(ImageMethod):
    """Gupta et al., 2024, arXiv 2306.13924 (Structuring representation geometry with rotationally equivariant
    contrastive learning).

    SimCLR throws away what augmentations change. Here a second term asks that the same augmentation moves all
    embeddings by the same rotation: they stay comparable, but what changed can still be read. Two further passes of
    the encoder double the cost of a step. Where colour, orientation and the like are of no interest, SimCLR is enough.

    Images are taken in groups whose members share one draw of each augmentation; those that fill no group are left out
    of the second term, as in the released code. A smaller batch is one group.

    Args:
        encoder: image encoder, by name or as a module.
        projection_hidden: width of the projection head's hidden layer.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        weight: of the equivariance, at least 0; 0.03 on CIFAR-10, 0.01 on STL-10, 0.001 on CIFAR-100.
        group_size: images that share an augmentation, at least 2; 16 on CIFAR-10, 32 on STL-10, 64 on
            CIFAR-100. The weight depends on it.
        views: recipe of random views.
        blur: share of the views that are blurred, in [0, 1]; the recipe's own when not given.
        optimization: Adam, as on CIFAR-10.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50-cifar",
        *,
        projection_hidden: int = 512,
        projection_dim: int = 128,
        temperature: float = 0.5,
        weight: float = 0.03,
        group_size: int = 16,
        views: str = "simclr-small",
        blur: float | None = None,
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=1e-6, schedule="constant"),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if blur is not None:
            self.recipes = tuple(recipe.with_(blur_p=blur) for recipe in self.recipes)
        self.head = MLPHead(self.features, projection_hidden, projection_dim)
        self.temperature, self.weight, self.group_size = temperature, weight, group_size

    def views(self, batch: ImageBatch) -> EquivariantViews:
        first, second = super().views(batch)
        (images,) = different_pictures(batch.images, 1, self.generator)
        groups = len(images) // self.size_of_group(images)
        used = slice(0, groups * self.size_of_group(images))
        sizes = None if batch.sizes is None else batch.sizes[used]
        whole = batch._replace(images=images[used], rows=batch.rows[used], sizes=sizes)
        shared = (random_view(recipe.with_(batch_same=groups), whole, self.generator) for recipe in self.recipes)
        return EquivariantViews(first, second, *shared)

    def size_of_group(self, images: Tensor) -> int:
        """Images in a group: all of them where there are fewer than wanted."""
        return min(self.group_size, len(images))

    def loss(self, views: EquivariantViews) -> dict[str, Tensor]:
        z1, z2 = self.gather(*together(self.network, views[:2]))
        s1, s2 = self.gather(*together(self.network, views[2:]))
        size = self.size_of_group(views.shared_first)
        return {
            "contrast": nt_xent(z1, z2, temperature=self.temperature),
            "equivariance": self.weight * rotational_equivariance(s1, s2, group_size=size),
        }
