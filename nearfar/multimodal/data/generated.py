"""Generated rows of several modalities whose dependence is known."""

from __future__ import annotations

import numpy as np

from nearfar.multimodal.data.shape_drawing import draw_scenes
from nearfar.multimodal.data.shape_scenes import shape_scenes
from nearfar.multimodal.data.tuples import Column, Tuples

__all__ = ["scene_views", "xor"]


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
