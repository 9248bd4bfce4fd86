"""Outlines of shapes as signed distances, in a plane where a shape's radius is 1: negative inside.

Each takes coordinates u (along the shape's first axis) and v, and is exact along straight and round edges; beyond
corners it understates the distance, which soft edges one pixel wide do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["OUTLINES"]

_LONG = 0.95  # half the length of the long sides


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # Five mirrors fold the plane into the half of one point, which lies on the v axis; its edge is a line.
    tip, notch = np.array([0.0, 1.0]), 0.42 * np.array([np.sin(np.pi / 5), np.cos(np.pi / 5)])
    u = np.abs(u)
    for mirror in (-1, 1):
        x, y = mirror * np.cos(np.pi / 5), np.sin(np.pi / 5)
        over = 2 * np.minimum(u * np.float32(x) + v * np.float32(y), 0)
        u, v = u - over * np.float32(x), v - over * np.float32(y)
    u = np.abs(u)
    edge = notch - tip
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
    return u * np.float32(normal[0]) + (v - np.float32(tip[1])) * np.float32(normal[1])


def _radius(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v)


def _box(u: np.ndarray, v: np.ndarray, width: float, height: float) -> np.ndarray:
    return np.maximum(np.abs(u) - width, np.abs(v) - height)


OUTLINES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda u, v: _radius(u, v) - 0.85,
    "square": lambda u, v: _box(u, v, 0.75, 0.75),
    "triangle": lambda u, v: np.maximum(-v, np.abs(u) * np.float32(0.75**0.5) + v * np.float32(0.5)) - 0.5,
    "cross": lambda u, v: np.minimum(_box(u, v, _LONG, 0.3), _box(u, v, 0.3, _LONG)),
    "ring": lambda u, v: np.abs(_radius(u, v) - 0.68) - 0.24,
    "star": _star,
    "half-disc": lambda u, v: np.maximum(_radius(u, v + 0.35) - _LONG, -v - 0.35),
    "bar": lambda u, v: _box(u, v, _LONG, 0.3),
}
"""By name."""
