"""Slices of drawn volumes whose look depends on their depth and, by a sign that moves with it, on a disease."""

from __future__ import annotations

import numpy as np

from nearfar.labels.data.labelled import LabelledImages
from nearfar.vision.data import ImageArray

VOLUMES, HELD_OUT, SLICES = 120, 120, 12
WRONG = 0.25
"""Share of volumes whose weak label is not the true one."""


def slices(size: int, seed: int = 0) -> LabelledImages:
    """Slices (12 each) of 120 volumes for training and 120 others as ``test``.

    The label of a volume says whether it is ill, the mark ``weak`` says so wrongly in a quarter of the volumes,
    ``position`` is the depth in [0, 1], ``subject`` the volume. An organ grows and shrinks with depth; of an ill one
    the surface is knotted at the top, the inside spotted below.
    """
    rng = np.random.default_rng(seed)
    train = _volumes(VOLUMES, size, rng, first=0, name="slices")
    return train.with_(splits={"test": _volumes(HELD_OUT, size, rng, first=VOLUMES, name="other volumes")})


def _volumes(count: int, size: int, rng: np.random.Generator, *, first: int, name: str) -> LabelledImages:
    ill = rng.permutation(np.arange(count) % 2)
    weak = np.where(rng.random(count) < WRONG, 1 - ill, ill)
    grid = (np.arange(size) + 0.5) / size - 0.5
    y, x = np.broadcast_arrays(grid[:, None], grid[None])
    angle, far = np.arctan2(y, x), np.hypot(y, x)
    pixels = np.empty((count, SLICES, size, size), np.uint8)
    depth = (np.arange(SLICES) + 0.5) / SLICES
    for volume in range(count):
        base, stretch, light = rng.uniform(0.3, 0.4), rng.uniform(0.85, 1.15), rng.uniform(0.45, 0.65)
        phase, spots = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi, 2)
        for number, d in enumerate(depth):
            radius = base * np.sin(np.pi * (0.15 + 0.7 * d))
            knots = ill[volume] * 0.2 * (1 - d) * np.sin(7 * angle + phase)
            organ = np.hypot(y * stretch, x / stretch) < radius * (1 + knots)
            spotted = np.sin(9 * np.pi * y + spots[0]) * np.sin(9 * np.pi * x + spots[1])
            inside = light + ill[volume] * 0.2 * d * spotted
            image = 0.15 + 0.1 * (far < 0.48) + organ * inside + rng.normal(scale=0.1, size=y.shape)
            pixels[volume, number] = np.rint(255 * np.clip(image, 0, 1))
    marks = {
        "weak": np.repeat(weak, SLICES),
        "position": np.tile(depth, count)[:, None].astype(np.float32),
        "subject": np.repeat(first + np.arange(count), SLICES),
    }
    images = ImageArray(pixels.reshape(-1, size, size), name=name)
    return LabelledImages(images, np.repeat(ill, SLICES), marks=marks, classes=range(2))
