"""Procedural street scenes with pixel-perfect labels, each in several appearances.

The embedded data of the segmentation field: no download, any size, any number of scenes, and the property
that aligned-appearance training needs, one geometry and one label map under different light and weather (the
idea of the CARLA-4AGT data set, arXiv 2412.16592, at toy scale).
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nearfar.segmentation.classes import CARLA4AGT_16

from . import backdrop, finish, props, vehicles
from . import fields as f
from . import surfaces as sf
from .appearance import APPEARANCES, LOOKS
from .lighting import roofline, shade
from .scene import Layout, plan_street

_SMALLEST = 16


@dataclass(frozen=True)
class StreetBuffers:
    """What every appearance of a scene shares, pixel by pixel; all arrays are (H, W, ...).

    Attributes:
        layout: the street that was drawn.
        camera: the layout's camera in pixels.
        label: uint8, values of `classes.CARLA4AGT_16`, 255 for street furniture that has no class.
        depth: float32, metres along the viewing axis; 1000 for the sky.
        material: uint16, row of `layout.colours`; texture: float32, what the material's colour is multiplied
        by.
        normal: float32 (H, W, 3), x right, y up, z ahead.
        emission: uint8, see `surfaces`: panes, lit windows, lamps, head and tail lights, signals.
        occlusion: float32, how much of the sky reaches the ground beside things, 0..1.
    """

    layout: Layout
    camera: npt.NDArray[np.float64]
    label: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    material: npt.NDArray[np.uint16]
    texture: npt.NDArray[np.float32]
    normal: npt.NDArray[np.float32]
    emission: npt.NDArray[np.uint8]
    occlusion: npt.NDArray[np.float32]

    def albedo(self, other_palette: bool = False) -> npt.NDArray[np.float32]:
        """Linear reflectance (H, W, 3) of every pixel; 0 in the sky."""
        colour = self.layout.colours[self.material, int(other_palette)] * self.texture[..., None]
        return np.where(self.depth[..., None] < 999.0, colour, np.float32(0.0)).astype(np.float32)


class StreetScenes:
    """An endless set of street scenes, addressed by number.

    A scene is a street in perspective with the 16 classes of `classes.CARLA4AGT_16`. Its appearances differ
    in light, weather, fog, lamps and (overcast) in the colours and textures of things, never in geometry: the
    label map and the depth hold for all of them. `TRAINING_APPEARANCES` are those of CARLA-4AGT;
    `HELD_OUT_APPEARANCES` are for testing what was never trained on.

    The content of a scene depends on (seed, scene) only; a larger size shows the same street in more detail.

    Args:
        size: (height, width) in pixels, each at least 16; 2:1 pictures look best.
        seed: another seed is another set of streets.
        threads: how many scenes of a batch are drawn at the same time; by default as many as there are cores.
            Take 1 inside data-loader workers.

    Raises:
        TypeError, ValueError: for sizes, seeds, scene numbers or appearances that are not as described.
    """

    classes = CARLA4AGT_16

    def __init__(self, size: tuple[int, int] = (128, 256), seed: int = 0, threads: int | None = None) -> None:
        try:
            height, width = (operator.index(side) for side in size)
        except (TypeError, ValueError):
            raise TypeError(f"size must be (height, width) in whole pixels, got {size!r}") from None
        if min(height, width) < _SMALLEST:
            raise ValueError(f"size must be at least {_SMALLEST} pixels each way, got {height} x {width}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.size = (height, width)
        self.seed = _natural(seed, "seed")
        self.threads = threads

    def __repr__(self) -> str:
        return f"StreetScenes(size={self.size}, seed={self.seed})"

    def label(self, scene: int) -> npt.NDArray[np.uint8]:
        """Label map (H, W) of a scene, for each of its appearances: 0..15, or 255 for what has no class."""
        return self.buffers(scene).label

    def depth(self, scene: int) -> npt.NDArray[np.float32]:
        """Depth (H, W) in metres along the viewing axis; 1000 for the sky."""
        return self.buffers(scene).depth

    def render(self, scene: int, appearance: str) -> npt.NDArray[np.uint8]:
        """Picture (H, W, 3), RGB, of a scene in one appearance."""
        return _photograph(self.buffers(scene), _appearance(appearance), self.seed, int(scene))

    def batch(
        self, scenes: Sequence[int] | npt.NDArray[np.integer], appearances: Sequence | npt.NDArray
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Several scenes, each drawn once and photographed in several appearances.

        Args:
            scenes: (B,) scene numbers.
            appearances: what to render, by name or by position in `APPEARANCES`: (A,) the same for every
                scene, or (B, A) each scene's own.

        Returns:
            images (B, A, H, W, 3) and labels (B, H, W), both uint8: what `render` and `label` give.
        """
        numbers = [_natural(scene, "scene") for scene in np.asarray(scenes).reshape(-1).tolist()]
        if np.ndim(scenes) != 1:
            raise ValueError(f"scenes must be a sequence of scene numbers, got {np.ndim(scenes)} dimensions")
        try:
            wanted = np.asarray(appearances)
        except ValueError:
            raise ValueError("every scene of a batch needs the same number of appearances") from None
        if wanted.ndim == 1:
            wanted = np.broadcast_to(wanted, (len(numbers), len(wanted)))
        if wanted.ndim != 2 or wanted.shape[0] != len(numbers):
            raise ValueError(
                f"appearances of {len(numbers)} scenes must have shape (A,) or ({len(numbers)}, A), got {wanted.shape}"
            )
        looks = [[_appearance(each) for each in row] for row in wanted.tolist()]
        images = np.empty((len(numbers), wanted.shape[1], *self.size, 3), np.uint8)
        labels = np.empty((len(numbers), *self.size), np.uint8)

        def draw(row: int) -> None:
            buffers = self.buffers(numbers[row])
            labels[row] = buffers.label
            for column, look in enumerate(looks[row]):
                images[row, column] = _photograph(buffers, look, self.seed, numbers[row])

        threads = min(len(numbers), self.threads or os.cpu_count() or 1)
        if threads <= 1:
            for row in range(len(numbers)):
                draw(row)
        else:
            # A pool per call survives a fork, which a lasting one would not, and costs little beside a scene.
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(draw, range(len(numbers))))
        return images, labels

    def buffers(self, scene: int) -> StreetBuffers:
        """Geometry, labels and materials of a scene, before any light falls on it."""
        layout = plan_street(self.seed, _natural(scene, "scene"))
        height, width = self.size
        camera = layout.camera.copy()
        camera[f.FOCAL] *= width
        camera[f.CENTRE_X] *= width
        camera[f.CENTRE_Y] *= height
        shape = self.size
        label, emission = np.full(shape, sf.SKY, np.uint8), np.full(shape, sf.MATT, np.uint8)
        material, depth = np.zeros(shape, np.uint16), np.full(shape, sf.SKY_DEPTH, np.float32)
        texture, occlusion = np.ones(shape, np.float32), np.ones(shape, np.float32)
        normal, rails = np.zeros((*shape, 3), np.float32), np.zeros(width, np.float32)
        tile = sf.texture_tile()
        surfaces = (label, depth, material, texture, normal, emission)
        backdrop.draw_backdrop(camera, layout.street, layout.lots, layout.counts, tile, *surfaces, rails)
        vehicles.draw_cars(camera, layout.cars, vehicles.car_planes(layout.cars), *surfaces, occlusion, rails)
        props.draw_props(camera, layout.props, tile, *surfaces, occlusion, rails)
        return StreetBuffers(layout, camera, *surfaces, occlusion)


def _photograph(buffers: StreetBuffers, name: str, seed: int, scene: int) -> npt.NDArray[np.uint8]:
    look, layout, tile = LOOKS[name], buffers.layout, sf.texture_tile()
    mood = layout.mood

    def between(limits: tuple[float, float], which: int) -> float:
        return limits[0] + (limits[1] - limits[0]) * mood[which]

    altitude = math.radians(between(look.altitude, 0))
    level = math.cos(altitude)
    sun = np.array([level * math.sin(layout.sun), math.sin(altitude), level * math.cos(layout.sun)])
    rows, columns = buffers.label.shape
    shadow = np.zeros((rows, columns), np.float32)
    if look.sun[0] > 0.5:
        planes = vehicles.car_planes(layout.cars)
        vehicles.shade_by_cars(buffers.camera, layout.cars, planes, sun, buffers.label, buffers.depth, shadow)
        props.shade_by_props(buffers.camera, layout.props, sun, tile, buffers.label, buffers.depth, shadow)
    emitted = look.emitted()
    fog = between(look.fog, 1)
    light = np.empty((rows, columns, 3), np.float32)
    shade(
        buffers.camera, layout.street, roofline(layout), layout.colours[:, int(look.other_palette)], tile,
        buffers.label, buffers.depth, buffers.material, buffers.texture, buffers.normal, buffers.emission,
        buffers.occlusion, shadow, sun, *_triples(look.sun, look.above, look.below, look.zenith, look.horizon,
        look.cloud), between(look.clouds, 2), 512.0 * mood[3], *_triples(look.haze), fog, emitted, look.beam,
        0.55 if look.other_palette else 0.0, look.wet, layout.lights, light,
    )  # fmt: skip
    finish.add_glow(buffers.camera, layout.lights, emitted, look.glow, fog, buffers.depth, light)
    if look.wet > 0.0:
        finish.mirror(buffers.camera, look.wet, tile, buffers.label, buffers.depth, buffers.normal, light)
    noise_seed = (seed * 1009 + scene * 6 + APPEARANCES.index(name)) & 0x7FFFFFFF
    if look.streaks > 0.0:
        finish.add_rain(int(look.streaks * (0.6 + 0.8 * mood[4]) * rows * columns / 1000.0), noise_seed, light)
    picture = np.empty((rows, columns, 3), np.uint8)
    finish.develop(
        light, between(look.exposure, 5), look.warmth + 0.06 * (mood[6] - 0.5), look.softness,
        look.noise * (0.7 + 0.6 * mood[7]), _sensor_noise(max(30000, 4 * columns)), noise_seed,
        _tone_curve(look.contrast), picture,
    )  # fmt: skip
    return picture


def _triples(*colours: tuple[float, float, float]) -> list[npt.NDArray[np.float64]]:
    return [np.array(colour) for colour in colours]


@lru_cache(maxsize=4)
def _sensor_noise(pixels: int) -> npt.NDArray[np.float32]:
    """Flattened RGB triples of unit variance with a common part: sensors err more in brightness than hue."""
    rng = np.random.default_rng(7)
    chroma, luma = rng.standard_normal((pixels, 3)), rng.standard_normal((pixels, 1))
    return (0.6 * chroma + 0.8 * luma).astype(np.float32).ravel()


@lru_cache(maxsize=8)
def _tone_curve(contrast: float) -> npt.NDArray[np.uint8]:
    """Display values for v / (v + 1), v linear: contrast, a filmic shoulder, then the sRGB transfer curve."""
    share = (np.arange(4096) + 0.5) / 4096.0
    v = 0.32 * (share / (1.0 - share) / 0.4) ** contrast
    film = np.clip(v * (2.51 * v + 0.03) / (v * (2.43 * v + 0.59) + 0.14), 0.0, 1.0)
    display = np.where(film <= 0.0031308, 12.92 * film, 1.055 * film ** (1 / 2.4) - 0.055)
    return np.round(255.0 * display).astype(np.uint8)


def _natural(value: object, what: str) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{what} must be a whole number, got {value!r}") from None
    if number < 0:
        raise ValueError(f"{what} must not be negative, got {number}")
    return number


def _appearance(value: object) -> str:
    if isinstance(value, str) and value in APPEARANCES:
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value < len(APPEARANCES):
        return APPEARANCES[int(value)]
    raise ValueError(
        f"unknown appearance {value!r}: choose from {', '.join(APPEARANCES)}, or a position 0..{len(APPEARANCES) - 1}"
    )
