"""Generated rows of several modalities whose dependence is known, and pairs of several sources."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.multimodal.data.shape_drawing import draw_scenes
from nearfar.multimodal.data.shape_scenes import Scenes, retrieval_gallery, shape_scenes
from nearfar.multimodal.data.tuples import Column, Tuples
from nearfar.training import Data

__all__ = ["scene_sources", "scene_views", "sounding_scenes", "xor"]


SOUND_RATE = 4000
"""Samples per second of generated sounds."""


def xor(count: int = 10_000, *, mixing: float = 1.0, width: int = 5, held_out: int = 2000, seed: int = 0) -> Tuples:
    """Three vectors of bits, of which the third is the exclusive or of the others (Symile's first experiment).

    With probability 1 - ``mixing`` it is the first vector instead. At 1 no two of the three say anything of each other,
    and any two determine the third.

    Args:
        count: rows for training.
        mixing: probability of the exclusive or, in [0, 1].
        width: bits of each vector.
        held_out: rows for test.
        seed: equal arguments give equal rows.
    """
    if not 0 <= mixing <= 1:
        raise ValueError(f"mixing must be in [0, 1], got {mixing}")
    rng = np.random.default_rng(seed)
    total = count + held_out
    a, b = rng.integers(2, size=(2, total, width))
    c = np.where(rng.random((total, 1)) < mixing, a ^ b, a)
    columns = {name: Column("numbers", x.astype(np.float32)) for name, x in (("a", a), ("b", b), ("c", c))}
    rows = Tuples(columns, name="xor")
    test = rows.chosen(np.arange(count, total), "test")
    train = rows.chosen(np.arange(count), "xor")
    return Tuples(train.columns, name="xor", splits={"test": test})


def scene_views(count: int = 2000, *, size: int = 24, held_out: int = 600, seed: int = 0) -> Tuples:
    """Four views of drawn scenes of one shape: luminance, chrominance, edges and depth; the label is the shape.

    Luminance and edges are grey, chrominance holds the two colour differences and 128, depth shows the object nearer
    than its background, whose distance grows to one side. The colour of the object is drawn without regard to its
    shape, so no single colour tells the shape.

    Args:
        count: rows for training.
        size: side in pixels.
        held_out: rows for test.
        seed: equal arguments give equal rows.
    """
    found = {"scene-views": _views(count, size, seed, "train"), "test": _views(held_out, size, seed + 1, "test_seen")}
    test = found["test"]
    train = found["scene-views"]
    return Tuples(train.columns, train.labels, name="scene-views", splits={"test": test})


def sounding_scenes(
    count: int = 2000,
    *,
    size: int = 24,
    held_out: int = 400,
    misaligned: float = 0.0,
    seed: int = 0,
) -> Tuples:
    """Drawn scenes of one shape with a sound and a caption: three modalities that say the same of it.

    The sound is a quarter of a second at 4,000 samples a second. Its pitch is the object's colour, its overtones are
    the shape, its loudness is the size and its onset the place, from left to right and from top to bottom; the rest is
    noise. The label is the shape.

    Args:
        count: rows for training.
        size: side of the pictures in pixels.
        held_out: rows for test, which are always aligned.
        misaligned: share of the rows for training whose sound or caption, one of the two, is that of another row, in
            [0, 1].
        seed: equal arguments give equal rows.
    """
    if not 0 <= misaligned <= 1:
        raise ValueError(f"misaligned must be in [0, 1], got {misaligned}")
    train, test = _sounding(count, size, seed, "train"), _sounding(held_out, size, seed + 1, "test_seen")
    rng = np.random.default_rng([seed, 8])
    wrong = np.flatnonzero(rng.random(count) < misaligned)
    which = rng.integers(2, size=len(wrong))
    for place, name in enumerate(("sound", "caption")):
        rows = wrong[which == place]
        _exchange(train.columns[name].values, rows, np.roll(rows, 1))
    return Tuples(train.columns, train.labels, name="sounding-scenes", rate=SOUND_RATE, splits={"test": test})


def scene_sources(count: int = 4000, *, size: int = 32, held_out: int = 200, seed: int = 0) -> CaptionedImages:
    """Captioned scenes of two sources that look and speak differently: pictures, and negatives of pictures.

    A negative has every colour inverted, and its caption begins by saying so; three of ten pairs are negatives. The
    held-out galleries hold pairs of one source each, of which no two mean the same.
    """
    scenes = shape_scenes(count, seed=seed, size=size)
    inverted = np.random.default_rng([seed, 10]).random(count) < 0.3
    galleries: dict[str, Data] = {}
    for place, name in enumerate(("pictures", "negatives")):
        held = retrieval_gallery(held_out, seed=seed + 1 + place, size=size)
        images, captions = _negatives(held, np.full(held_out, place == 1))
        galleries[name] = CaptionedImages(images, captions, name=name, gallery=True)
    images, captions = _negatives(scenes, inverted)
    sources = np.where(inverted, "negatives", "pictures").tolist()
    return CaptionedImages(images, captions, name="scene-sources", splits=galleries, sources=sources)


def _negatives(scenes: Scenes, inverted: np.ndarray) -> tuple[np.ndarray, list[str]]:
    images = np.where(inverted[:, None, None, None], 255 - scenes.images, scenes.images)
    said = [f"negative of {c}" if other else c for c, other in zip(scenes.captions, inverted, strict=True)]
    return images, said


def _exchange(values: Any, rows: np.ndarray, others: np.ndarray) -> None:
    """Put the values of other rows into rows."""
    taken = [values[other] for other in others]
    for row, value in zip(rows, taken, strict=True):
        values[row] = value


def _sounding(count: int, size: int, seed: int, split: str) -> Tuples:
    scenes = shape_scenes(count, seed=seed, split=split, size=size)
    columns = {
        "picture": Column("picture", scenes.images),
        "sound": Column("sound", _tones(scenes.attributes, seed)),
        "caption": Column("text", scenes.captions),
    }
    return Tuples(columns, scenes.attributes["shape"][:, 0], name=split, rate=SOUND_RATE)


def _tones(attributes: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """(N, 1000) int16."""
    rng = np.random.default_rng([seed, 9])
    color, shape, big, place = (attributes[name][:, 0] for name in ("color", "shape", "size", "place"))
    pitch = 120 * 2 ** (color / 4) * np.exp(rng.normal(0, 0.01, len(color)))
    time = np.arange(SOUND_RATE // 4) / SOUND_RATE
    since = time - place[:, None] * 0.015
    overtones = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1], [1, 0, 0, 1], [0, 1, 1, 0]])[shape]
    wave = sum(
        overtones[:, k, None] * np.sin(2 * np.pi * (k + 1) * pitch[:, None] * since) for k in range(4)
    ) / overtones.sum(1, keepdims=True)
    loud = np.where(big == 1, 0.5, 0.2)[:, None]
    wave = loud * wave * (since >= 0) * np.exp(-6 * np.maximum(since, 0))
    return np.rint(32767 * np.clip(wave + rng.normal(0, 0.02, wave.shape), -1, 1)).astype(np.int16)


def _views(count: int, size: int, seed: int, split: str) -> Tuples:
    scenes = shape_scenes(count, seed=seed, split=split, size=size)
    rgb = scenes.images.astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    blue, red = 0.564 * (rgb[..., 2] - luma) + 128, 0.713 * (rgb[..., 0] - luma) + 128
    down, across = np.gradient(luma, axis=(1, 2))
    edges = np.clip(3 * np.hypot(down, across), 0, 255)
    columns = {
        "luminance": Column("picture", _grey(luma)),
        "chrominance": Column("picture", np.rint(np.stack([blue, red, np.full_like(red, 128)], -1)).astype(np.uint8)),
        "edges": Column("picture", _grey(edges)),
        "depth": Column("picture", _grey(_depth(scenes.attributes, size, seed))),
    }
    return Tuples(columns, scenes.attributes["shape"][:, 0], name=split)


def _grey(x: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(x).astype(np.uint8)[..., None], 3, axis=-1)


def _depth(attributes: dict[str, np.ndarray], size: int, seed: int) -> np.ndarray:
    """(N, size, size) in [0, 255]: the outline of the object before a slope, with grain."""
    plain = dict(attributes)
    plain["background"] = np.zeros_like(attributes["background"])
    plain["texture"] = np.zeros_like(attributes["texture"])
    plain["noise"] = np.zeros_like(attributes["noise"])
    inside = draw_scenes(plain, size, seed).max(-1) > 40
    rng = np.random.default_rng([seed, 6])
    away = rng.uniform(0, 2 * np.pi, len(inside))
    y, x = np.mgrid[:size, :size] / size - 0.5
    slope = x * np.cos(away)[:, None, None] + y * np.sin(away)[:, None, None]
    depth = 170 + 60 * slope - inside * rng.uniform(50, 90, len(inside))[:, None, None]
    return np.clip(depth + rng.normal(size=inside.shape) * 6, 0, 255)
