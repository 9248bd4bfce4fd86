"""Which changes of a thing a representation ignores, measured on drawn shapes of which every factor is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nearfar.evaluation import invariance_score
from nearfar.training import Data, Method, embed
from nearfar.vision.data import ImageArray
from nearfar.vision.data.shapes import SHAPES, Factors, draw, random_factors

PER_SHAPE = 20
PICTURES = 12
"""Sets of each shape, and pictures of each set."""


def _occlusion(factors: Factors, rng: np.random.Generator) -> Factors:
    n = len(factors)
    return factors.with_(occlusion=rng.uniform(0, 0.6, n), side=rng.uniform(0, 2 * np.pi, n))


def _viewpoint(factors: Factors, rng: np.random.Generator) -> Factors:
    each = factors.angle.shape
    x, y = rng.uniform(0.35, 0.65, (2, *each))
    return factors.with_(angle=rng.uniform(0, 2 * np.pi, each), scale=rng.uniform(0.28, 0.42, each), x=x, y=y)


def _illumination(factors: Factors, rng: np.random.Generator) -> Factors:
    return factors.with_(light=rng.uniform(0.5, 1.3, len(factors)), tint=rng.random(len(factors)))


def _instance(factors: Factors, rng: np.random.Generator) -> Factors:
    n = len(factors)
    return factors.with_(hue=rng.random((n, 1)), texture=rng.integers(0, 2**31, n), ground=rng.random(n))


CHANGES: dict[str, Callable[[Factors, np.random.Generator], Factors]] = {
    "occlusion": _occlusion,
    "viewpoint": _viewpoint,
    "illumination": _illumination,
    "instance": _instance,
}
"""What differs within a set: how much a cover hides and from where; turn, place and distance; brightness and colour
of the light; hue and ground. All else is the same within a set."""


def change_sets(change: str, size: int, *, seed: int = 0) -> tuple[ImageArray, np.ndarray]:
    """Pictures labelled by shape, and the set of each: 20 sets of each shape, every one 12 pictures of
    one thing under one of :data:`CHANGES`."""
    sets = len(SHAPES) * PER_SHAPE
    things = random_factors(sets, seed=seed).with_(
        shape=np.repeat(np.arange(len(SHAPES)), PER_SHAPE)[:, None], occlusion=np.zeros(sets)
    )
    ids = np.repeat(np.arange(sets), PICTURES)
    factors = CHANGES[change](things.take(ids), np.random.default_rng([seed, 1]))
    return ImageArray(draw(factors, size)[0], factors.shape[:, 0].astype(np.int64), name=change), ids


def invariances(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """How invariant the representation is to occlusion, viewpoint, illumination and instance.

    :func:`nearfar.evaluation.invariance_score` of the 10 best neurons, with shapes as classes, on 20 sets of each of
    eight shapes that are drawn for it, 12 pictures in each, at the image size of ``data``: any encoder can be
    measured, best one that learned from drawn shapes (``--data shapes``).

    Returns:
        ``<change>``, up to about 100, and ``<change> shuffled``, what the same features score with the pictures
        shuffled over the sets: only the difference is invariance.
    """
    size = int(data.batch(np.arange(1)).images.shape[-1])
    scores: dict[str, float] = {}
    for change in CHANGES:
        pictures, sets = change_sets(change, size, seed=seed)
        features = embed(method, pictures).array
        k = min(10, features.shape[1])
        found = invariance_score(features, sets, pictures.labels, top_k=(k,), seed=seed)
        scores |= {change: found[f"top {k}"], f"{change} shuffled": found[f"top {k} shuffled"]}
    return scores
