"""What every method on images shares: an encoder by name, and random views by recipe."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders import image_encoder
from nearfar.training import Method, Optimization
from nearfar.vision.batches import ImageBatch
from nearfar.vision.ordinary import own_batch
from nearfar.vision.views import Recipe, recipe_pair


class ImageMethod(Method):
    """A method on images whose views are random crops of each image.

    Args:
        encoder: a name that :func:`nearfar.encoders.image_encoder` knows, or a module.
        views: the recipe of random views, by name (``simclr``, ``moco-v2``, ``byol``, ...) or as recipes.
        optimization: how the parameters move.
        count: number of views of each image; see :func:`view_recipes`.
    """

    takes = ImageBatch

    def __init__(
        self, encoder: str | nn.Module, views: str | Sequence[Recipe], optimization: Optimization, *, count: int = 2
    ) -> None:
        super().__init__(optimization)
        self.encoder = image_encoder(encoder)
        self.recipes = view_recipes(views, count)
        self.head: nn.Module = nn.Identity()

    @property
    def features(self) -> int:
        """Width of the representation."""
        return int(self.encoder.out_features)  # type: ignore[arg-type]

    @property
    def network(self) -> nn.Sequential:
        """Encoder and head as one module: what is trained, and what a momentum encoder follows."""
        return nn.Sequential(self.encoder, self.head)

    def views(self, batch: ImageBatch) -> tuple[Tensor, ...]:
        """Float views (N, 3, size, size) in [0, 1], one per recipe, of different pictures where there are several."""
        pictures = different_pictures(batch.images, len(self.recipes), self.generator)
        return tuple(
            random_view(recipe, batch._replace(images=images), self.generator)
            for recipe, images in zip(self.recipes, pictures, strict=True)
        )

    def ordinary(self, batch: Any) -> tuple[Any, Any]:
        """Pictures, pictures with labels, or views by transforms of one's own; see
        :func:`nearfar.vision.ordinary.own_batch`. Views of one's own are for methods that only compare random crops."""
        found = own_batch(batch, len(self.recipes))
        if found is None:
            return super().ordinary(batch)
        if isinstance(found, ImageBatch):
            return found, None
        if type(self).views is not ImageMethod.views:
            raise TypeError(
                f"{type(self).__name__} makes its own kind of views, which transforms cannot replace; give it the "
                "pictures themselves, as (N, 3, H, W) uint8 or floats in [0, 1]"
            )
        return batch, found

    def encode(self, batch: Any) -> Tensor:
        images = batch.images if isinstance(batch, ImageBatch) else batch
        return self.encoder(images[:, 0] if images.ndim == 5 else images)


def random_view(recipe: Recipe, batch: ImageBatch, generator: torch.Generator) -> Tensor:
    """One random view of each image, of the part of it that its picture fills."""
    if batch.side is not None and recipe.size is None:
        recipe = recipe.with_(size=batch.side)
    return recipe(batch.images, generator, sizes=batch.sizes)


def different_pictures(images: Tensor, count: int, generator: torch.Generator) -> list[Tensor]:
    """``count`` pictures of each thing: the image itself, or of several (N, K, ...) random ones, different while K
    lasts."""
    if images.ndim != 5:
        return [images] * count
    of_each, device = images.shape[1], images.device
    order = for_examples(lambda n: torch.rand(n, of_each, generator=generator, device=device), len(images)).argsort(1)
    rows = torch.arange(len(images), device=images.device)
    return [images[rows, order[:, view % images.shape[1]]] for view in range(count)]


def view_recipes(views: str | Sequence[Recipe], count: int) -> tuple[Recipe, ...]:
    """``count`` recipes: as many as are given, or the two of a pair (or of its name) in turn.

    Raises:
        ValueError: fewer than two views; an unknown name; neither a pair nor ``count`` recipes.
        TypeError: something that is not a recipe.
    """
    if count < 2:
        raise ValueError(f"a method needs at least 2 views of each image, got {count}")
    if isinstance(views, str) or len(views) != count:
        return tuple(islice(cycle(recipe_pair(views)), count))
    wrong = next((recipe for recipe in views if not isinstance(recipe, Recipe)), None)
    if wrong is not None:
        raise TypeError(f"views must be a name or recipes, got {wrong!r} among them")
    return tuple(views)


def together(module: nn.Module, views: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One pass for all views of a size, so that batch norm sees them together; their outputs, in order.

    The released SimCLR code does so with its two views, SwAV's with its crops of each size.
    """
    of_size: dict[torch.Size, list[int]] = {}
    for position, view in enumerate(views):
        of_size.setdefault(view.shape, []).append(position)
    outputs: dict[int, Tensor] = {}
    for positions in of_size.values():
        found = module(torch.cat([views[position] for position in positions]))
        outputs.update(zip(positions, found.chunk(len(positions)), strict=True))
    return tuple(outputs[position] for position in range(len(views)))
