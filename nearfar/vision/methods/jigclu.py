"""JigClu: jigsaw clustering."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import own_rows, whole_batch
from nearfar.losses import supcon
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, ImageMethod, different_pictures
from nearfar.vision.views import apply, recipe_pair

CORNERS = 4  # upper left, upper right, lower left, lower right: the order of parts, of quarters and of places
MAP_SIDE = 8


class Montages(NamedTuple):
    """N pictures of four parts each (N, 3, H, W), and which part lies where (4 N,): corner * N + image, for the upper
    left quarters of all montages, then their upper right ones, and so on."""

    images: Tensor
    parts: Tensor


class JigClu(ImageMethod):
    """Chen, Liu & Jia, 2021, arXiv 2104.00323.

    Every image is cut into four overlapping parts, the parts of the whole batch are shuffled and put together again,
    four to a picture. The network sees each picture once, must tell which quarters come from one image (clustering)
    and where in it they lay (location). One pass for each image where other methods take two, and features that serve
    detection as well; with images whose parts do not tell what they belong to SimCLR is the safer choice.

    Departure: the clustering is the supervised contrastive loss as it stands. Where the released code multiplies it by
    ``temperature / 0.07``, which is 1 at the default, set ``clustering`` to that at other temperatures.

    Parts are shuffled within a process and clustered over all of them.

    Args:
        encoder: image encoder, by name or as a module; its backbone must give maps.
        projection_dim: width of the space where parts are compared.
        temperature: divides the similarities, above 0.
        overlap: how far a part reaches over the middle, as a share of the side, in [0, 0.5].
        clustering: weight of the clustering, at least 0.
        location: weight of the location, at least 0.
        size: side of the pictures put together, in pixels; that of the images when not given. The backbone's maps of
            them should be 2 x 2 or larger.
        views: recipe whose crop and colours every part gets.
        optimization: SGD that decays every parameter.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        projection_dim: int = 128,
        temperature: float = 0.07,
        overlap: float = 0.3,
        clustering: float = 1.0,
        location: float = 1.0,
        size: int | None = None,
        views: str = "moco-v2",
        optimization: Optimization = Optimization("sgd", lr=0.03, weight_decay=1e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if not 0 <= overlap <= 0.5:
            raise ValueError(f"overlap must be in [0, 0.5], got {overlap}")
        self.head = MLPHead(self.features, self.features, projection_dim, norm="none")
        self.place = nn.Linear(self.features, CORNERS)
        self.temperature, self.overlap = temperature, overlap
        self.weights = clustering, location
        self.recipe, self.size = recipe_pair(views)[0], size

    def views(self, batch: ImageBatch) -> Montages:
        pictures = different_pictures(batch.images, CORNERS, self.generator)
        parts = torch.cat([self.part(corner, batch._replace(images=x)) for corner, x in enumerate(pictures)])
        everyone = from_rows(whole_batch(to_rows(parts)))
        order = torch.randperm(len(everyone), generator=self.generator, device=parts.device)
        return Montages(montage(everyone[own_rows(order, CORNERS)]), order)

    def part(self, corner: int, batch: ImageBatch) -> Tensor:
        """A random view (N, 3, h, w) of one corner of every image, of half its sides."""
        n, _, height, width = batch.images.shape
        whole = torch.tensor([[height, width]], device=batch.images.device).expand(n, 2)
        sides = whole if batch.sizes is None else batch.sizes
        reach = (sides // 2 + (sides * self.overlap).long()).clamp(min=1)
        draws = self.recipe.draw(n, reach[:, 0], reach[:, 1], self.generator)
        offset = (sides - reach) * torch.tensor([corner // 2, corner % 2], device=sides.device)
        boxes = torch.cat([draws.boxes[:, :2] + offset, draws.boxes[:, 2:]], 1)
        side = self.size or batch.side
        half = (height // 2, width // 2) if side is None else (side // 2, side // 2)
        return apply(batch.images, dataclasses.replace(draws, boxes=boxes), half)

    def loss(self, views: Montages) -> dict[str, Tensor]:
        features = quarters(self.encoder.maps(views.images))  # type: ignore[operator]
        (projected,) = self.gather(to_rows(self.head(features)))
        # Back in the order of the parts: then row i of each corner belongs to image i, on every process.
        corners = torch.empty_like(from_rows(projected)).index_copy(0, views.parts, from_rows(projected))
        images = torch.arange(len(projected), device=features.device).repeat(CORNERS)
        places = own_rows(views.parts, CORNERS) // len(projected)
        clustering, location = self.weights
        return {
            "clustering": clustering * supcon(corners, images, temperature=self.temperature),
            "location": location * F.cross_entropy(self.place(features), places),
        }


def to_rows(parts: Tensor) -> Tensor:
    """(4 N, ...), corner after corner, as a row (4, ...) for each of N images."""
    return parts.unflatten(0, (CORNERS, -1)).transpose(0, 1)


def from_rows(rows: Tensor) -> Tensor:
    """:func:`to_rows` undone."""
    return rows.transpose(0, 1).flatten(0, 1)


def montage(parts: Tensor) -> Tensor:
    """(4 N, C, h, w), first N upper left quarters, then upper right, lower left and lower right ones, as N pictures
    (N, C, 2 h, 2 w)."""
    first, second, third, fourth = parts.chunk(CORNERS)
    return torch.cat([torch.cat([first, second], 3), torch.cat([third, fourth], 3)], 2)


def quarters(maps: Tensor) -> Tensor:
    """Mean features (4 N, C) of the quarters of N maps (N, C, h, w), in the order of :func:`montage`.

    Raises:
        ValueError: the backbone gives no maps.
    """
    if maps.ndim != 4:
        raise ValueError(f"the encoder's backbone must give maps (N, C, h, w), got shape {tuple(maps.shape)}")
    resized = F.interpolate(maps, size=(MAP_SIDE, MAP_SIDE), mode="bilinear", align_corners=False)
    means = F.avg_pool2d(resized, MAP_SIDE // 2)
    return means.flatten(2).permute(2, 0, 1).flatten(0, 1)
