"""Dense pre-training: what PixPro, DenseCL and DenseCL++ share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.encoders import ImageEncoder, image_encoder
from nearfar.segmentation.encoders import PyramidEncoder, pyramid_encoder
from nearfar.segmentation.places import Grid, crop_corners
from nearfar.training import Method, Optimization
from nearfar.vision.method import different_pictures
from nearfar.vision.views import apply, recipe_pair

DenseEncoder = PyramidEncoder | ImageEncoder


class DenseViews(NamedTuple):
    """Two crops of every image: float pixels (N, 3, H, W) in [0, 1], and where they lie (N, 4), see
    :func:`nearfar.segmentation.places.crop_corners`."""

    first: Tensor
    second: Tensor
    corners1: Tensor
    corners2: Tensor


class DensePretraining(Method):
    """A method that learns feature maps from unlabelled images: two random crops whose places are known.

    It takes any images: those of scenes (one appearance, drawn at random, where there are several) and those of
    collections without label maps. What is contrasted is the encoder's deepest map.

    Args:
        encoder: a name that :func:`dense_encoder` knows, or a module.
        views: the recipe of random views, by name (see :data:`nearfar.vision.views.RECIPES`).
        view_size: side of the views in pixels; the image's own height and width when not given.
        optimization: how the parameters move.
    """

    encoder: DenseEncoder

    def __init__(self, encoder: str | nn.Module, views: str, view_size: int | None, optimization: Optimization) -> None:
        super().__init__(optimization)
        self.encoder = dense_encoder(encoder)
        first, second = recipe_pair(views)
        self.recipes = (first.with_(size=view_size), second.with_(size=view_size))

    @property
    def features(self) -> int:
        """Width of the map that is contrasted."""
        return int(self.encoder.out_features)

    def views(self, batch: Any) -> DenseViews:
        """Two random crops of one appearance of each image, and their corners."""
        images = different_pictures(batch.images, 1, self.generator)[0]
        # Pictures of several sizes lie in the images' corners: see nearfar.vision.method.ImageBatch.
        sizes = getattr(batch, "sizes", None)
        height, width = images.shape[2:] if sizes is None else sizes.unbind(1)
        draws = [recipe.draw(len(images), height, width, self.generator) for recipe in self.recipes]
        pixels = [
            apply(images, drawn, recipe.size or getattr(batch, "side", None))
            for recipe, drawn in zip(self.recipes, draws, strict=True)
        ]
        corners = [crop_corners(drawn, height, width) for drawn in draws]
        return DenseViews(*pixels, *corners)

    def map(self, images: Tensor) -> Tensor:
        """The deepest map (N, C, h, w) of images (N, 3, H, W)."""
        return deepest_map(self.encoder, images)

    def encode(self, batch: Any) -> Tensor:
        """One vector per image; of a batch of scenes, that of each scene's first appearance."""
        images = getattr(batch, "images", batch)
        return self.encoder(images[:, 0] if images.ndim == 5 else images)

    def gather_cells(self, *cells: Tensor) -> tuple[Tensor, ...]:
        """Cells (N, S, ...) of the global batch, with gradients."""
        whole = self.gather(*(c.flatten(1) for c in cells))
        return tuple(w.view(-1, *c.shape[1:]).to(c.dtype) for w, c in zip(whole, cells, strict=True))


def dense_encoder(encoder: str | nn.Module) -> DenseEncoder:
    """An encoder with a map: a name of :func:`nearfar.encoders.image_encoder` (``resnet50`` and the like) or of
    :func:`nearfar.segmentation.encoders.pyramid_encoder`, or ``small-dense``, or a module that gives a map, or several
    and has an attribute ``widths``."""
    if isinstance(encoder, (PyramidEncoder, ImageEncoder)):
        return encoder
    if isinstance(encoder, nn.Module):
        return PyramidEncoder(encoder) if hasattr(encoder, "widths") else ImageEncoder(encoder)
    if encoder == "small-dense":
        return ImageEncoder(SmallDenseNet())
    if encoder == "small-pyramid" or encoder.startswith("segformer-"):
        return pyramid_encoder(encoder)
    try:
        return image_encoder(encoder)
    except ValueError as error:
        raise ValueError(
            f"{error}; with maps at several depths: small-pyramid, segformer-b0 ...; small-dense"
        ) from None


def deepest_map(encoder: nn.Module, images: Tensor) -> Tensor:
    """The last of an encoder's maps (N, C, h, w).

    Raises:
        ValueError: the encoder gives no map (a transformer's tokens, a pooled vector).
    """
    maps: Callable[[Tensor], Any] = encoder.maps  # type: ignore[assignment]
    found = maps(images)
    found = found[-1] if isinstance(found, (list, tuple)) else getattr(found, "last_hidden_state", found)
    if not isinstance(found, Tensor) or found.ndim != 4:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"dense methods need an encoder with a feature map (N, C, h, w), got {shape}")
    return found


class DeepestMap(nn.Module):
    """:func:`deepest_map` as a module, where one is asked for."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return deepest_map(self.encoder, images)


def to_cells(feature_map: Tensor) -> Tensor:
    """(N, C, h, w) as cells (N, h * w, C), rows of cells first."""
    return feature_map.flatten(2).mT


def per_cell(head: nn.Module, cells: Tensor) -> Tensor:
    """A head on vectors, applied to every cell (N, S, C): a 1x1 convolution, its norm over all cells of the batch."""
    return head(cells.flatten(0, 1)).unflatten(0, cells.shape[:2])


def grid_of(feature_map: Tensor) -> Grid:
    """Rows and columns of cells of a map."""
    return feature_map.shape[2], feature_map.shape[3]


class SmallDenseNet(nn.Module):
    """Four 3x3 convolutions of total stride 8: minutes on a CPU, and still 8 x 8 cells of a picture of 64 pixels.

    Shape: ``(N, 3, H, W) -> (N, 4 * width, H / 8, W / 8)``, rounded up.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        layers: list[nn.Module] = []
        for stride, before, after in zip((2, 2, 2, 1), widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)]
            layers.append(nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers)
        self.out_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@torch.no_grad()
def without_gradients(module: Callable[..., Any], *args: Any) -> Any:
    """What ``module`` gives, held constant."""
    return module(*args)
