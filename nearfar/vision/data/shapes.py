"""Pictures of coloured shapes of which every factor is known: what, where, how turned, how lit, how much hidden.

They answer questions that photographs cannot: which change a representation ignores, whether attention lies on the
thing, whether it knows all things of a scene. :class:`Factors` says what is in the pictures and :func:`draw` paints
them: shapes of one hue, lighter along their own first axis so that every turn shows, on a ground of soft patches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nearfar.training import Data
from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.data.shape_outlines import OUTLINES

__all__ = ["SHAPES", "Factors", "ShapeImages", "draw", "random_factors", "shape_images"]

SHAPES: tuple[str, ...] = tuple(OUTLINES)
"""Names of the shapes, in the order of their numbers."""

COLOURS, GROUNDS = 6, 24
"""Numbers of hues and of grounds that :func:`random_factors` draws from: few enough to meet often."""

_AT_ONCE = 32  # pictures drawn together: their planes stay in the processor's cache
_CELLS = 5  # patches of the ground along each side
_PER_OBJECT = ("shape", "hue", "angle", "scale", "x", "y")


@dataclass(frozen=True)
class Factors:
    """What is in N pictures of K objects each; object 0 lies on top. Arrays are aligned by row.

    Attributes:
        shape: (N, K) positions in :data:`SHAPES`.
        hue: (N, K) in turns, [0, 1).
        angle: (N, K) radians, counter-clockwise.
        scale: (N, K) radius as a share of the picture's side, above 0.
        x, y: (N, K) centres as shares of the side, from the left and from the top.
        texture: (N,) integers that name the patches of the ground; equal ones look the same.
        ground: (N,) hue of the ground.
        light: (N,) brightness, 1 as painted; above about 1.4 colours saturate.
        tint: (N,) hue of the light.
        occlusion: (N,) share of object 0's extent, in [0, 1], that a grey cover hides.
        side: (N,) radians: from which side it does.
    """

    shape: np.ndarray
    hue: np.ndarray
    angle: np.ndarray
    scale: np.ndarray
    x: np.ndarray
    y: np.ndarray
    texture: np.ndarray
    ground: np.ndarray
    light: np.ndarray
    tint: np.ndarray
    occlusion: np.ndarray
    side: np.ndarray

    def __post_init__(self) -> None:
        expected = self.shape.shape
        if len(expected) != 2 or expected[1] < 1 or self.shape.dtype.kind not in "iu":
            raise ValueError(
                f"shape must be (N, K) whole numbers with K at least 1, got {expected}, {self.shape.dtype}"
            )
        for field in dataclasses.fields(self):
            values = getattr(self, field.name)
            wanted = expected if field.name in _PER_OBJECT else expected[:1]
            if values.shape != wanted:
                raise ValueError(f"{field.name} must have shape {wanted}, as `shape` says; got {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"{field.name} must be finite numbers")
        if self.shape.size and not 0 <= self.shape.min() <= self.shape.max() < len(SHAPES):
            raise ValueError(f"shape must lie in [0, {len(SHAPES) - 1}], got {self.shape.min()} to {self.shape.max()}")
        if (self.scale <= 0).any() or (self.occlusion < 0).any() or (self.occlusion > 1).any():
            raise ValueError("scale must be above 0 and occlusion in [0, 1]")

    def __len__(self) -> int:
        return len(self.shape)

    def take(self, rows: np.ndarray) -> Factors:
        """Those of the pictures at ``rows``, which may repeat."""
        return Factors(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})

    def with_(self, **changes: np.ndarray) -> Factors:
        """The same with other values of the named factors."""
        return dataclasses.replace(self, **changes)


def draw(factors: Factors, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of ``factors``.

    Args:
        factors: of N pictures.
        side: of the pictures in pixels, at least 8.

    Returns:
        (N, side, side, 3) uint8 pictures with soft edges, and (N, side, side) uint8 masks: 0 the ground and the
        cover, k + 1 where object k is seen.
    """
    if side < 8:
        raise ValueError(f"side must be at least 8 pixels for a shape to be seen, got {side}")
    images = np.empty((len(factors), side, side, 3), np.uint8)
    masks = np.empty((len(factors), side, side), np.uint8)
    for first in range(0, len(factors), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        part = factors.take(np.arange(len(factors))[rows])
        canvas, masks[rows] = _paint(part, side)
        lit = (part.light[:, None] * (0.8 + 0.2 * _rgb(part.tint, 1.0))).astype(np.float32)
        np.multiply(canvas, (255 * lit)[:, :, None, None], out=canvas)
        images[rows] = np.clip(np.rint(canvas, out=canvas), 0, 255, out=canvas).transpose(0, 2, 3, 1)
    return images, masks


def _paint(factors: Factors, side: int) -> tuple[np.ndarray, np.ndarray]:
    canvas = _ground(factors, side)
    mask = np.zeros((len(factors), side, side), np.uint8)
    for k in reversed(range(factors.shape.shape[1])):
        scale = factors.scale[:, k]
        u, v = _turned(factors, k, factors.angle[:, k], side)
        distance = np.empty_like(u)
        for number, inside in enumerate(OUTLINES.values()):
            chosen = factors.shape[:, k] == number
            if chosen.any():
                distance[chosen] = inside(u[chosen], v[chosen])
        cover = _coverage(distance, scale, side)
        np.clip(u, -1, 1, out=u)
        _blend(canvas, cover, _rgb(factors.hue[:, k], 0.8)[:, :, None, None] * (0.72 + 0.28 * u)[:, None])
        mask[cover > 0.5] = k + 1
    hidden = np.flatnonzero(factors.occlusion > 0)
    if len(hidden):
        some = factors.take(hidden)
        u, v = _turned(some, 0, some.side, side)
        nearest = (1 - 2 * some.occlusion).astype(np.float32)[:, None, None]
        distance = np.maximum(np.maximum(nearest - u, u - 1.15), np.abs(v) - 1.15)
        cover = _coverage(distance, some.scale[:, 0], side)
        under = canvas[hidden]
        _blend(under, cover, np.float32(0.45))
        canvas[hidden] = under
        below = mask[hidden]
        below[cover > 0.5] = 0
        mask[hidden] = below
    return canvas, mask


def _turned(factors: Factors, k: int, angle: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (N, side, side) around object ``k`` in its radii, along ``angle`` and across it."""
    pixels = (np.arange(side) + 0.5) / side
    across = (pixels - factors.x[:, k, None]) / factors.scale[:, k, None]
    up = (factors.y[:, k, None] - pixels) / factors.scale[:, k, None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b, c, d = (each.astype(np.float32) for each in (across * cos, up * sin, across * sin, up * cos))
    return a[:, None, :] + b[:, :, None], d[:, :, None] - c[:, None, :]


def _coverage(distance: np.ndarray, scale: np.ndarray, side: int) -> np.ndarray:
    """Share of each pixel that lies inside, from signed distances in radii."""
    distance *= (-scale * side).astype(np.float32)[:, None, None]
    distance += 0.5
    return np.clip(distance, 0, 1, out=distance)


def _blend(canvas: np.ndarray, cover: np.ndarray, colour: np.ndarray | np.float32) -> None:
    change = colour - canvas
    change *= cover[:, None]
    canvas += change


def _ground(factors: Factors, side: int) -> np.ndarray:
    """(N, 3, side, side) float32: soft patches of about one hue, and a slope of brightness."""
    n = len(factors)
    places = np.arange(3 * _CELLS * _CELLS, dtype=np.uint64)
    noise = _hash(factors.texture.astype(np.uint64)[:, None] * np.uint64(1000) + places)
    grid = noise.reshape(n, 3, _CELLS, _CELLS).astype(np.float32) * 0.3 + 0.7
    slope = np.linspace(0.85, 1.15, _CELLS, dtype=np.float32)
    upwards = (factors.texture % 2 == 0)[:, None, None, None]
    grid *= np.where(upwards, slope[:, None], slope[None, ::-1]) * (0.3 * _rgb(factors.ground, 0.3))[:, :, None, None]
    weights = _soft_weights(side)
    return weights @ grid @ weights.T


def _soft_weights(side: int) -> np.ndarray:
    """(side, cells) weights of a smooth interpolation between the patches' centres."""
    place = (np.arange(side) + 0.5) / side * (_CELLS - 1)
    left = np.minimum(place.astype(int), _CELLS - 2)
    share = place - left
    share = share * share * (3 - 2 * share)
    weights = np.zeros((side, _CELLS), np.float32)
    weights[np.arange(side), left] = 1 - share
    weights[np.arange(side), left + 1] = share
    return weights


def _hash(values: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) that look random and depend on ``values`` (uint64) alone (the mixing of splitmix64)."""
    mixed = values * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(40)).astype(np.float64) / 2**24


def _rgb(hue: np.ndarray, saturation: float) -> np.ndarray:
    """(N, 3) float32 colours of value 1."""
    distance = np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    return (1 - saturation * (1 - np.clip(distance, 0, 1))).astype(np.float32)


def random_factors(count: int, objects: int = 1, *, seed: int = 0) -> Factors:
    """Everything drawn at random and independently, except that the objects of a picture differ in shape. Hues are
    near to one of six, patches on the ground are those of one of 24, so that neither gives a picture away.

    One object lies near the middle and fills much of the picture; several lie in places of their own. A quarter of
    the pictures hide up to half of their first object.

    Raises:
        ValueError: fewer than one object, or more than four.
    """
    if not 1 <= objects <= 4:
        raise ValueError(f"objects must be 1 to 4, got {objects}")
    rng = np.random.default_rng(seed)
    each = (count, objects)
    shape = rng.random((count, len(SHAPES))).argsort(1)[:, :objects]
    if objects == 1:
        x, y = rng.uniform(0.38, 0.62, (2, *each))
        scale = rng.uniform(0.28, 0.42, each)
    else:
        cell = rng.random((count, 4)).argsort(1)[:, :objects]
        x, y = 0.27 + 0.46 * np.stack([cell % 2, cell // 2]) + rng.uniform(-0.05, 0.05, (2, *each))
        scale = rng.uniform(0.14, 0.21, each)
    return Factors(
        shape=shape,
        hue=_few_hues(rng, each),
        angle=rng.uniform(0, 2 * np.pi, each),
        scale=scale,
        x=x,
        y=y,
        texture=rng.integers(0, GROUNDS, count),
        ground=_few_hues(rng, count),
        light=rng.uniform(0.7, 1.2, count),
        tint=rng.random(count),
        occlusion=np.where(rng.random(count) < 0.25, rng.uniform(0.1, 0.5, count), 0.0),
        side=rng.uniform(0, 2 * np.pi, count),
    )


def _few_hues(rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
    # Hues of their own would tell pictures apart before their shapes do.
    return (rng.integers(0, COLOURS, size) / COLOURS + rng.uniform(-0.02, 0.02, size)) % 1


class ShapeImages(ImageArray):
    """Pictures of shapes with what is in them. Labels are the first object's shape.

    Args:
        factors: what to draw.
        side: of the pictures in pixels.
        name: what to call the set.
        splits: held-out sets by name.

    Attributes:
        factors: as given.
        masks: (N, side, side) uint8, see :func:`draw`.
    """

    def __init__(
        self, factors: Factors, side: int = 32, *, name: str = "shapes", splits: Mapping[str, Data] | None = None
    ) -> None:
        images, self.masks = draw(factors, side)
        self.factors = factors
        super().__init__(images, factors.shape[:, 0].astype(np.int64), name=name, splits=splits)

    @property
    def present(self) -> np.ndarray:
        """(N, number of shapes) bool: which shapes a picture holds, for questions with several right answers."""
        found = np.zeros((len(self.factors), len(SHAPES)), bool)
        np.put_along_axis(found, self.factors.shape, True, axis=1)
        return found


def shape_images(size: int = 32, *, objects: int = 1, train: int = 2000, test: int = 600) -> ShapeImages:
    """The embedded sets ``shapes`` (one object) and ``shape-scenes`` (three): training pictures, and a split ``test``
    of others drawn in the same way. The same for everybody."""
    name = "shapes" if objects == 1 else "shape-scenes"
    held_out = ShapeImages(random_factors(test, objects, seed=1), size, name=f"{name}, test")
    return ShapeImages(random_factors(train, objects, seed=0), size, name=name, splits={"test": held_out})
