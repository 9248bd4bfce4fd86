"""Antialiased drawing of coloured shapes on textured backgrounds, for whole batches at once in numpy.

Every shape is a signed distance (negative inside) in units of the object's radius, so edges are antialiased
by the distance itself and the result looks the same at every image size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PALETTE", "SHAPE_DISTANCES", "TEXTURES", "draw_scenes", "sample_look"]

Array = NDArray[np.floating[Any]]

PALETTE = (
    np.array(
        [
            [228, 46, 48],
            [247, 140, 28],
            [250, 217, 52],
            [56, 176, 74],
            [64, 210, 224],
            [52, 98, 232],
            [142, 68, 200],
            [252, 140, 196],
        ],
        dtype=np.float32,
    )
    / 255
)
"""RGB of red, orange, yellow, green, cyan, blue, purple and pink, values in [0, 1]."""

TEXTURES = ("plain", "stripes", "dots", "checks", "waves")

_CHUNK = 128
_CELL = np.array([0.27, 0.5, 0.73], dtype=np.float32)
_RADIUS = np.array([0.135, 0.21], dtype=np.float32)


def _circle(u: Array, v: Array) -> Array:
    return np.sqrt(u * u + v * v) - 1


def _square(u: Array, v: Array) -> Array:
    return np.maximum(np.abs(u), np.abs(v)) - 0.86


def _triangle(u: Array, v: Array) -> Array:
    v = v - 0.18
    return np.maximum(v, 0.8660254 * np.abs(u) - 0.5 * v) - 0.6


def _star(u: Array, v: Array) -> Array:
    # Fold the five points onto one half sector, then take the side between an outer and an inner corner.
    sector = np.float32(2 * np.pi / 5)
    turn = np.arctan2(u, -v)
    folded = np.abs(turn - sector * np.round(turn / sector))
    rho = np.sqrt(u * u + v * v)
    outer, inner = 1.15, 0.5
    corner = inner * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)], dtype=np.float32)
    normal = np.array([corner[1], outer - corner[0]], dtype=np.float32)
    normal /= np.linalg.norm(normal)
    return rho * (normal[0] * np.cos(folded) + normal[1] * np.sin(folded)) - normal[0] * np.float32(outer)


def _cross(u: Array, v: Array) -> Array:
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.minimum(u, v) - 0.34, np.maximum(u, v) - 1)


def _ring(u: Array, v: Array) -> Array:
    return np.abs(np.sqrt(u * u + v * v) - 0.74) - 0.28


SHAPE_DISTANCES: tuple[Callable[[Array, Array], Array], ...] = (
    _circle,
    _square,
    _triangle,
    _star,
    _cross,
    _ring,
)
"""Signed distances of circle, square, triangle, star, cross and ring at points (u, v), v pointing down."""


def sample_look(n: int, slots: int, rng: np.random.Generator) -> dict[str, NDArray]:
    """Draw everything about `n` scenes that no caption mentions.

    Returns arrays whose first axis is the scene. Per object, (n, slots, ...): `offset` of the centre from
    its place in shares of the image side (2), `stretch` factor on the radius, `angle` in radians, `tint`
    added to the palette colour (3). Per scene, (n, ...): `background` two shades and a pattern colour (3,
    3), `texture` index into `TEXTURES`, `texture_angle` in radians, `texture_frequency` in periods per
    image side, `texture_phase` (2), `texture_strength` in [0, 1], `noise` standard deviation of the grain.
    """

    def uniform(low: float, high: float, *shape: int) -> Array:
        return rng.uniform(low, high, (n, *shape)).astype(np.float32)

    # Backgrounds are muted and either dark or light, so that they never pass for one of the eight colours.
    luma = np.where(rng.random((n, 1, 1)) < 0.6, uniform(0.14, 0.34, 1, 1), uniform(0.74, 0.88, 1, 1))
    shade = luma + uniform(-0.08, 0.08, 3, 1)
    return {
        "offset": uniform(-0.03, 0.03, slots, 2),
        "stretch": uniform(0.92, 1.0, slots),
        "angle": uniform(-0.25, 0.25, slots),
        "tint": uniform(-0.05, 0.05, slots, 3),
        "background": np.clip(shade + uniform(-0.09, 0.09, 3, 3), 0, 1).astype(np.float32),
        "texture": rng.integers(len(TEXTURES), size=n),
        "texture_angle": uniform(0, np.pi),
        "texture_frequency": uniform(2.5, 5.0),
        "texture_phase": uniform(0, 2 * np.pi, 2),
        "texture_strength": uniform(0.5, 1.0),
        "noise": uniform(0.0, 0.03),
    }


def draw_scenes(attributes: Mapping[str, NDArray], size: int, seed: int) -> NDArray[np.uint8]:
    """RGB images (n, size, size, 3); `seed` draws the grain only. Later objects cover earlier ones."""
    n = len(attributes["color"])
    rng = np.random.default_rng([seed, 5])
    out = np.empty((n, size, size, 3), dtype=np.uint8)
    for start in range(0, n, _CHUNK):
        part = {name: values[start : start + _CHUNK] for name, values in attributes.items()}
        # Colour planes come first while drawing: each plane is then contiguous, which halves the time.
        image = _background(part, size)
        for slot in range(part["color"].shape[1]):
            _paint(image, part, slot)
        grain = rng.standard_normal((len(image), 1, size, size), dtype=np.float32)
        image += part["noise"][:, None, None, None] * grain
        np.clip(image, 0, 1, out=image)
        image *= 255
        out[start : start + _CHUNK] = np.rint(image).astype(np.uint8).transpose(0, 2, 3, 1)
    return out


def _axes(size: int) -> tuple[Array, Array]:
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    return grid[None, :, None], grid[None, None, :]


def _soft(value: Array, width: float) -> Array:
    """0 below -width, 1 above +width, linear between."""
    return np.clip(value * np.float32(0.5 / width) + np.float32(0.5), 0, 1)


def _background(part: Mapping[str, NDArray], size: int) -> Array:
    y, x = _axes(size)
    cos, sin = (f(part["texture_angle"])[:, None, None] for f in (np.cos, np.sin))
    along, across = x * cos + y * sin, y * cos - x * sin
    first, second, pattern = (part["background"][:, i, :, None, None] for i in range(3))
    image = first + (second - first) * np.clip(0.5 + 0.7 * (along - 0.5), 0, 1)[:, None]
    wave = (part["texture_frequency"] * np.float32(2 * np.pi))[:, None, None]
    phase_u, phase_v = (part["texture_phase"][:, i, None, None] for i in range(2))
    for code, name in enumerate(TEXTURES):
        at = np.flatnonzero(part["texture"] == code)
        if name == "plain" or len(at) == 0:
            continue
        u = np.sin(wave[at] * along[at] + phase_u[at])
        if name == "stripes":
            cover = _soft(u, 0.35)
        else:
            v = np.sin(wave[at] * across[at] + phase_v[at])
            if name == "dots":
                cover = _soft(u + v - 0.9, 0.35)
            elif name == "checks":
                cover = _soft(u * v, 0.2)
            else:
                cover = 0.5 + 0.5 * np.sin(2 * u + 2 * v + wave[at] * 0.6 * along[at])
        cover *= part["texture_strength"][at, None, None]
        image[at] += cover[:, None] * (pattern[at] - image[at])
    return image


def _paint(image: Array, part: Mapping[str, NDArray], slot: int) -> None:
    size = image.shape[-1]
    y, x = _axes(size)
    place, shape = part["place"][:, slot], part["shape"][:, slot]
    centre_x = (_CELL[place % 3] + part["offset"][:, slot, 0])[:, None, None]
    centre_y = (_CELL[place // 3] + part["offset"][:, slot, 1])[:, None, None]
    radius = (_RADIUS[part["size"][:, slot]] * part["stretch"][:, slot])[:, None, None]
    cos, sin = (f(part["angle"][:, slot])[:, None, None] for f in (np.cos, np.sin))
    dx, dy = (x - centre_x) / radius, (y - centre_y) / radius
    colour = np.clip(PALETTE[part["color"][:, slot]] + part["tint"][:, slot], 0, 1)[:, :, None, None]
    for code, distance in enumerate(SHAPE_DISTANCES):
        at = np.flatnonzero((shape == code) & (part["color"][:, slot] >= 0))
        if len(at) == 0:
            continue
        u, v = cos[at] * dx[at] + sin[at] * dy[at], cos[at] * dy[at] - sin[at] * dx[at]
        pixels = distance(u, v) * radius[at] * size
        under = image[at]
        # A soft shadow parts the object from backgrounds of similar lightness.
        under *= (1 - 0.45 * np.clip(1 - pixels * np.float32(14 / size), 0, 1) ** 2)[:, None]
        lit = colour[at] * (1 - 0.12 * np.clip(v, -1, 1))[:, None]
        image[at] = under + np.clip(0.5 - pixels, 0, 1)[:, None] * (lit - under)
