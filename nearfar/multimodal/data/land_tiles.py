"""Generated tiles of land seen from above, with captions of what stands on them, and their places on the globe.

Four kinds of land cover a tile in regions; one shape stands on it, and the caption speaks of the shape alone. Which
kind covers most depends on the latitude. So words say nothing of the land, and places nothing of the shapes: what each
kind of learning brings can be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.multimodal.data.shape_drawing import PALETTE, SHAPE_DISTANCES
from nearfar.training import Data

__all__ = ["COVERS", "LandTiles", "land_tiles"]

COVERS = ("water", "forest", "fields", "town")
COLORS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = {"circle": 0, "square": 1, "cross": 4}
SPOTS = {
    "upper left": (0.28, 0.28),
    "upper right": (0.72, 0.28),
    "lower left": (0.28, 0.72),
    "lower right": (0.72, 0.72),
}
TEMPLATES = ("a {} {} at the {}", "there is a {} {} in the {}", "a {} {}", "this tile shows a {} {} on the {}")
PREFERENCE = 0.7
"""How often a region is of the kind of its latitude."""
REGIONS = 3
RADIUS = 0.17
HUES = np.array([[-0.05, 0.0, 0.07], [-0.05, 0.06, -0.03], [0.06, 0.03, -0.06], [0.04, -0.05, 0.02]])
"""What each kind of land adds to red, green and blue."""


class LandTiles(CaptionedImages):
    """Captioned pictures with places, of which it is known what covers each pixel.

    Attributes:
        covers: (N, H, W) int64, numbers of kinds of land.
    """

    def __init__(self, made: Tiles, labels: NDArray[np.int64], **more: object) -> None:
        super().__init__(made.images, made.captions, labels, places=made.places, **more)  # type: ignore[arg-type]
        self.covers = made.covers


@dataclass(frozen=True)
class Tiles:
    """What was drawn: ``images`` (N, H, W, 3) uint8, ``captions``, ``places`` (N, 2) longitude and latitude, ``covers``
    (N, H, W) and ``objects`` (N,), colour times three plus shape."""

    images: NDArray[np.uint8]
    captions: list[str]
    places: NDArray[np.float64]
    covers: NDArray[np.int64]
    objects: NDArray[np.int64]

    @property
    def most(self) -> NDArray[np.int64]:
        """The kind of land that covers most of each tile."""
        counts = np.stack([(self.covers == kind).sum((1, 2)) for kind in range(len(COVERS))], 1)
        return counts.argmax(1)


def land_tiles(examples: int, *, size: int = 32, held_out: int = 400, seed: int = 0) -> LandTiles:
    """A training set whose labels are the kind of land that covers most, with two held-out sets of the same tiles:
    ``land`` with those labels, and ``objects`` with classes in words."""
    test = drawn_tiles(held_out, size=size, seed=seed + 1_000_003)
    splits: Mapping[str, Data] = {
        "land": LandTiles(test, test.most, name="land"),
        "objects": LandTiles(test, test.objects, name="objects", classes=classes()),
    }
    train = drawn_tiles(examples, size=size, seed=seed)
    return LandTiles(train, train.most, name="land-tiles", splits=splits)


def classes() -> dict[int, list[str]]:
    """Sentences for each colour and shape."""
    names = [(color, shape) for color in COLORS for shape in SHAPES]
    return {
        number: [TEMPLATES[2].format(*name), *(TEMPLATES[0].format(*name, spot) for spot in SPOTS)]
        for number, name in enumerate(names)
    }


def drawn_tiles(count: int, *, size: int = 32, seed: int = 0) -> Tiles:
    """Draw tiles."""
    rng = np.random.default_rng([seed, 11])
    latitude = np.rad2deg(np.arcsin(rng.uniform(-1, 1, count)))  # uniform on the sphere
    places = np.stack([rng.uniform(-180, 180, count), latitude], 1)
    band = np.clip((np.sin(np.deg2rad(latitude)) + 1) * len(COVERS) / 2, 0, len(COVERS) - 1).astype(np.int64)
    chosen = np.where(
        rng.random((count, REGIONS)) < PREFERENCE, band[:, None], rng.integers(len(COVERS), size=(count, REGIONS))
    )
    grid = (np.arange(size) + 0.5) / size
    y, x = np.meshgrid(grid, grid, indexing="ij")
    seeds = rng.random((count, REGIONS, 2, 1, 1))
    nearest = ((seeds[:, :, 0] - x) ** 2 + (seeds[:, :, 1] - y) ** 2).argmin(1)
    covers = np.take_along_axis(chosen[:, :, None], nearest.reshape(count, -1)[..., None], 1)[..., 0]
    covers = covers.reshape(count, size, size)
    images = _land(covers, x, y, rng)
    objects = rng.integers(len(COLORS) * len(SHAPES), size=count)
    spots = rng.integers(len(SPOTS), size=count)
    _stand(images, objects, spots, x, y, rng)
    said = rng.integers(len(TEMPLATES), size=count)
    captions = [
        TEMPLATES[t].format(COLORS[o // len(SHAPES)], [*SHAPES][o % len(SHAPES)], [*SPOTS][s])
        for t, o, s in zip(said.tolist(), objects.tolist(), spots.tolist(), strict=True)
    ]
    images += rng.normal(0, 0.03, images.shape)
    pixels = (np.clip(images, 0, 1) * 255).round().astype(np.uint8)
    return Tiles(pixels, captions, places, covers, objects)


def _land(covers: NDArray[np.int64], x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Pictures (N, H, W, 3) of land: a texture and a hue of each kind, in a light and a haze that vary by the tile."""
    count = len(covers)

    def uniform(low: float, high: float, *shape: int) -> NDArray[np.float64]:
        return rng.uniform(low, high, (count, *shape))

    angle, phase = uniform(0, np.pi, 1, 1), uniform(0, 2 * np.pi, 1, 1)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    textures = np.stack(
        [
            0.3 * np.sin(2 * np.pi * 1.5 * along + phase),
            np.where(rng.random((count, *x.shape)) < 0.4, 1.0, -0.6),
            np.sign(np.sin(2 * np.pi * 5 * along + phase)),
            np.sign(np.sin(2 * np.pi * 4 * along + phase) * np.sin(2 * np.pi * 4 * across)),
        ],
        1,
    )
    texture = np.take_along_axis(textures, covers[:, None], 1)[:, 0]
    light = uniform(0.3, 0.6, 1, 1, 1) + uniform(-0.05, 0.05, 1, 1, 3)
    return light + HUES[covers] + 0.13 * texture[..., None]


def _stand(
    images: NDArray[np.float64], objects: NDArray, spots: NDArray, x: NDArray, y: NDArray, rng: np.random.Generator
) -> None:
    """Draw an object into every picture."""
    places = np.array([*SPOTS.values()])[spots] + rng.uniform(-0.04, 0.04, (len(images), 2))
    turns = rng.uniform(-0.2, 0.2, len(images))
    softness = 0.5 / len(x) / RADIUS
    for row, (number, (left, top), turn) in enumerate(
        zip(objects.tolist(), places.tolist(), turns.tolist(), strict=True)
    ):
        u, v = (x - left) / RADIUS, (y - top) / RADIUS
        u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
        distance = SHAPE_DISTANCES[[*SHAPES.values()][number % len(SHAPES)]](u, v)
        share = np.clip(0.5 - distance / (2 * softness), 0, 1)[..., None]
        images[row] = images[row] * (1 - share) + PALETTE[number // len(SHAPES)] * share
