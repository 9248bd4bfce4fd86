"""Handwritten digits under known interventions on style: the default data of every vision method.

The content is scikit-learn's `digits` (1,797 scans of 8 x 8 pixels, 10 classes), the style is drawn. One
digit can therefore be seen in many styles, and a claim about invariance to style can be tested with the
truth known. Contrast keeps its sign in every style: each stroke pixel is lighter than each background pixel
before sensor noise is added. Digits darker than their background are a different problem, on which every
method we tried stays at chance.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.vision.data.digit_styles import GROUNDS, STYLES, TEXTURES, StyleFamily

__all__ = ["STYLES", "TEST_DIGITS", "TRAIN_DIGITS", "StyleFamily", "styled_digits"]

TRAIN_DIGITS = 1297
TEST_DIGITS = 500

_SPLITS = {"train": 0, "test": 1}
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
_CHUNK = 256

Floats = NDArray[np.floating[Any]]
Range = tuple[float, float]


def styled_digits(
    split: str = "train",
    styles: str | StyleFamily = "clean",
    size: int = 32,
    seed: int = 0,
    copies: int = 1,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Draw every digit of a split in styles from one family.

    Parameters
    ----------
    split
        "train" (1,297 digits) or "test" (500 digits). The partition is stratified by class and the same for
        every seed, style and size.
    styles
        "clean", "seen", "shifted", "unseen" (see `STYLES`), or a `StyleFamily` of your own.
    size
        Side of the square images in pixels, at least 8.
    seed
        Seed of the styles. Equal arguments give equal images.
    copies
        How often each digit is drawn, every time in a new style.

    Returns
    -------
    images : uint8, (N, size, size, 3)
        RGB, N = copies x digits; the copies follow one another, the order of digits inside a copy is fixed.
    labels : int64, (N,)
        The digit's class, 0 to 9.
    ids : int64, (N,)
        Which of the 1,797 digits it is: equal ids are the same handwriting in different styles.

    Raises
    ------
    ValueError
        For an unknown split or style, or a size, seed or number of copies out of range.
    """
    if split not in _SPLITS:
        raise ValueError(f"split must be one of {tuple(_SPLITS)}, got {split!r}")
    draw = _drawn if isinstance(styles, str) else _drawn.__wrapped__  # a family of one's own may hold lists
    if isinstance(styles, str):
        if styles not in STYLES:
            raise ValueError(f"styles must be one of {tuple(STYLES)} or a StyleFamily, got {styles!r}")
        styles = STYLES[styles]
    for name, value, least in (("size", size, 8), ("copies", copies, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")

    images = draw(split, styles, size, seed, copies)
    _, classes, partition = _digits()
    ids = np.tile(partition[_SPLITS[split]], copies)
    return images.copy(), classes[ids], ids


@functools.lru_cache(maxsize=8)
def _drawn(split: str, styles: StyleFamily, size: int, seed: int, copies: int) -> NDArray[np.uint8]:
    """The pictures; kept, because whoever compares systems asks for the same ones again and again."""
    scans, _, partition = _digits()
    ids = np.tile(partition[_SPLITS[split]], copies)
    rng = np.random.default_rng([seed, _SPLITS[split]])
    images = np.empty((len(ids), size, size, 3), dtype=np.uint8)
    for start in range(0, len(ids), _CHUNK):
        part = ids[start : start + _CHUNK]
        images[start : start + _CHUNK] = _draw(scans[part], styles, size, rng)
    return images


@functools.cache
def _digits() -> tuple[Floats, NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.datasets import load_digits  # a second of loading that only this needs

    bunch = load_digits()
    # Coefficients of the cubic spline through the samples, so that upsampling does not close loops.
    samples = (4 * np.eye(8) + np.eye(8, k=1) + np.eye(8, k=-1)) / 6
    inverse = np.linalg.inv(samples)
    scans = (inverse @ (bunch.images / 16.0) @ inverse).astype(np.float32)
    classes = bunch.target.astype(np.int64)
    # Sorting by (rank inside the class / class size) interleaves the classes, so any prefix is stratified.
    order = np.random.default_rng(1797).permutation(len(classes))
    rank = np.empty(len(classes))
    for label in range(10):
        members = order[classes[order] == label]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    ranked = np.argsort(rank, kind="stable")
    return scans, classes, (np.sort(ranked[TEST_DIGITS:]), np.sort(ranked[:TEST_DIGITS]))


def _draw(scans: Floats, family: StyleFamily, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    n = len(scans)

    def uniform(bounds: Range) -> Floats:
        return rng.uniform(*bounds, size=n).astype(np.float32)[:, None, None]

    side = uniform(family.scale)
    shift_y, shift_x = uniform((-family.shift, family.shift)), uniform((-family.shift, family.shift))
    rows, columns = (
        _spline(0.5 + shift_y[:, 0], side[:, 0], size),
        _spline(0.5 + shift_x[:, 0], side[:, 0], size),
    )
    ink = _smoothstep(rows @ scans @ columns.transpose(0, 2, 1), 0.25, 0.70)

    grid = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5)[None]
    y, x = grid[:, :, None], grid[:, None, :]
    angle = uniform((0.0, 2 * math.pi))
    along = x * np.cos(angle) + y * np.sin(angle)
    radius = np.sqrt((x - uniform((-0.3, 0.3))) ** 2 + (y - uniform((-0.3, 0.3))) ** 2)
    shading = np.stack(
        [np.zeros_like(along), np.clip(along + 0.5, 0, 1), np.clip(1.3 * radius, 0, 1)],
    )[_choice(family.grounds, GROUNDS, n, rng), np.arange(n)]
    texture = _texture(_choice(family.textures, TEXTURES, n, rng), x, y, radius, rng)

    low, high, pattern = (_colours(family, family.ground_luma, n, rng) for _ in range(3))
    image = _mix(low, high, shading)
    image = _mix(image, pattern, uniform(family.texture_strength) * texture)
    if family.clutter[1]:
        fragments = _fragments(family.clutter, x, y, n, rng)
        image = _mix(image, _colours(family, (family.ground_luma[1],) * 2, n, rng), fragments)
    stroke = _colours(family, family.stroke_luma, n, rng)
    if family.stroke_texture:
        grain = _texture(_choice(family.textures, TEXTURES, n, rng), x, y, radius, rng)
        second = _colours(family, family.stroke_luma, n, rng)
        stroke = _mix(stroke, second, uniform((0.0, family.stroke_texture)) * grain)
    image = _mix(image, stroke, ink)
    if family.noise[1]:
        image = image + uniform(family.noise)[..., None] * rng.standard_normal(image.shape, dtype=np.float32)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _spline(centre: Floats, side: Floats, size: int) -> Floats:
    """Weights (n, size, 8) of the 8 cubic B-splines spread over `side` around `centre`."""
    pixel = (np.arange(size, dtype=np.float32) + 0.5) / size
    at = (pixel[None] - centre) / side * 8 + 3.5
    distance = np.abs(at[:, :, None] - np.arange(8, dtype=np.float32))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far)


def _smoothstep(value: Floats, start: float, end: float) -> Floats:
    t = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def _choice(chosen: tuple[str, ...], known: tuple[str, ...], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.array([known.index(name) for name in chosen])[rng.integers(len(chosen), size=n)]


def _mix(under: Floats, over: Floats, opacity: Floats) -> Floats:
    return under + opacity[..., None] * (over - under)


def _colours(family: StyleFamily, luma: Range, n: int, rng: np.random.Generator) -> Floats:
    """RGB (n, 1, 1, 3) of exactly the drawn luma: a hue darkened towards black or lightened towards white."""
    starts, ends = np.array(family.hues).T
    width = ends - starts
    which = rng.choice(len(width), size=n, p=width / width.sum() if width.sum() else None)
    hue = (starts + rng.random((n, len(width))) * width)[np.arange(n), which]
    saturation = rng.uniform(*family.saturation, size=n)
    target = rng.uniform(*luma, size=n)[:, None]
    pure = np.clip(np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    pure = 1 - saturation[:, None] * (1 - pure)
    own = (pure @ _LUMA)[:, None]
    lightened = pure + (1 - pure) * np.clip((target - own) / np.maximum(1 - own, 1e-6), 0, 1)
    return np.where(target < own, pure * target / own, lightened).astype(np.float32)[:, None, None]


def _texture(kind: NDArray[np.int64], x: Floats, y: Floats, radius: Floats, rng: np.random.Generator) -> Floats:
    """Opacity (n, size, size) in [0, 1] of one pattern per image."""
    n, size = len(kind), radius.shape[1]
    angle, phase_u, phase_v = (rng.uniform(0, 2 * math.pi, (n, 1, 1)).astype(np.float32) for _ in range(3))
    frequency = rng.uniform(3.0, 6.0, (n, 1, 1)).astype(np.float32) * 2 * math.pi
    cells = rng.integers(6, 12, n)
    values = rng.random((n, 8, 8), dtype=np.float32)
    out = np.zeros((n, size, size), dtype=np.float32)
    for code, name in enumerate(TEXTURES):
        at = np.flatnonzero(kind == code)
        if name == "plain" or len(at) == 0:
            continue
        if name == "noise":
            weights = _spline(np.full((len(at), 1), 0.5, np.float32), (8 / cells[at, None]).astype(np.float32), size)
            field = weights @ values[at] @ weights.transpose(0, 2, 1)
            out[at] = _smoothstep(field, 0.3, 0.7)
            continue
        if name == "rings":
            out[at] = _smoothstep(np.sin(1.5 * frequency[at] * radius[at] + phase_u[at]), -0.5, 0.5)
            continue
        cos, sin = np.cos(angle[at]), np.sin(angle[at])
        u = np.sin(frequency[at] * (x * cos + y * sin) + phase_u[at])
        if name == "stripes":
            out[at] = _smoothstep(u, -0.5, 0.5)
            continue
        v = np.sin(frequency[at] * (y * cos - x * sin) + phase_v[at])
        out[at] = _smoothstep(u + v, 0.5, 1.3) if name == "dots" else _smoothstep(u * v, -0.25, 0.25)
    return out


def _fragments(count: tuple[int, int], x: Floats, y: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Opacity (n, size, size) of short pen strokes: arcs of random centre, radius, direction and extent."""
    size = x.shape[2]
    drawn = rng.integers(count[0], count[1] + 1, size=n)
    out = np.zeros((n, size, size), dtype=np.float32)
    for index in range(count[1]):
        centre_y, centre_x = (rng.uniform(-0.5, 0.5, (n, 1, 1)).astype(np.float32) for _ in range(2))
        bend = rng.uniform(0.08, 0.25, (n, 1, 1)).astype(np.float32)
        direction = rng.uniform(0, 2 * math.pi, (n, 1, 1)).astype(np.float32)
        dy, dx = y - centre_y, x - centre_x
        distance = np.sqrt(dx * dx + dy * dy)
        facing = (dx * np.cos(direction) + dy * np.sin(direction)) / np.maximum(distance, 1e-6)
        arc = _smoothstep(0.05 - np.abs(distance - bend), 0.0, 0.03) * _smoothstep(facing, -0.1, 0.1)
        out = np.where((index < drawn)[:, None, None], np.maximum(out, arc), out)
    return out
