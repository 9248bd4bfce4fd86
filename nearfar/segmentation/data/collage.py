"""Digit collages: handwriting on textured canvases, with a label for every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch

from nearfar.segmentation.method import SceneBatch
from nearfar.training import Data
from nearfar.vision.data.styled_digits import styled_digits

CLASSES = ("background", *map(str, range(10)))
SIDES = (0.36, 0.40, 0.44, 0.48)
"""Sides of the digits as shares of the canvas."""


class DigitCollages(Data):
    """One to four of scikit-learn's digits, each in a quarter of a textured canvas, drawn once and kept in memory.

    Class 0 is the canvas, class d + 1 digit d: its ink and a rim around it, as one would outline it by hand. Every
    stroke is lighter than the canvas under it. Training and test collages hold different digits (the partition of
    :func:`nearfar.vision.data.styled_digits`). The same arguments give the same pictures.

    Args:
        count: number of collages.
        split: ``train`` or ``test``.
        size: side of the canvas in pixels, at least 32.
        digits: fewest and most digits on a canvas, within 1 to 4.
        seed: another seed is another set of collages.
        splits: held-out sets by name.

    Attributes:
        images: (N, size, size, 3) uint8.
        label_maps: (N, size, size) uint8.
        instances: (N, size, size) uint8, 0 on the canvas and the number of the digit on it, from 1.
    """

    gives = SceneBatch

    def __init__(
        self,
        count: int,
        split: str = "train",
        *,
        size: int = 64,
        digits: tuple[int, int] = (1, 4),
        seed: int = 0,
        name: str = "digit-collage",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        if size < 32:
            raise ValueError(f"size must be at least 32 pixels, got {size}")
        if not 1 <= digits[0] <= digits[1] <= 4:
            raise ValueError(f"digits must be (fewest, most) within 1 to 4, got {tuple(digits)}")
        self.name, self.classes = name, CLASSES
        self._splits = dict(splits or {})
        self.images = np.empty((count, size, size, 3), np.uint8)
        self.label_maps = np.zeros((count, size, size), np.uint8)
        self.instances = np.zeros((count, size, size), np.uint8)
        inks = [styled_digits(split, "clean", size=round(share * size)) for share in SIDES]
        rng = np.random.default_rng([seed, {"train": 0, "test": 1}[split]])
        for n in range(count):
            self.images[n], self.label_maps[n], self.instances[n] = _collage(inks, size, digits, rng)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray) -> SceneBatch:
        images = torch.from_numpy(self.images[indices]).permute(0, 3, 1, 2).unsqueeze(1)
        return SceneBatch(images, torch.from_numpy(self.label_maps[indices]).long(), torch.as_tensor(indices))

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_classes": len(CLASSES)}

    def splits(self) -> Mapping[str, Data]:
        return self._splits


def digit_collages(size: int | None = None, scenes: int | None = None) -> DigitCollages:
    """The embedded set: ``scenes`` collages for training (1,200 when not given) and 150 of other digits for testing."""
    side = size or 64
    test = DigitCollages(150, "test", size=side, name="test")
    return DigitCollages(scenes or 1200, "train", size=side, splits={"test": test})


def _collage(
    inks: list[Any], size: int, digits: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    canvas = _texture(size, rng)
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (size // 20) + 1,) * 2)
    labels, instances = np.zeros((2, size, size), np.uint8)
    quarters = rng.permutation(4)[: rng.integers(digits[0], digits[1] + 1)]
    for number, quarter in enumerate(quarters, start=1):
        pictures, classes, _ = inks[rng.integers(len(inks))]
        which = rng.integers(len(pictures))
        alpha = pictures[which, :, :, 0].astype(np.float32) / 255
        side, half = len(alpha), size // 2
        top, left = rng.integers(0, half - side + 1, size=2) + half * np.array(divmod(int(quarter), 2))
        place = np.s_[top : top + side, left : left + side]
        colour = rng.uniform(0.6, 1.0, 3).astype(np.float32)
        canvas[place] += alpha[..., None] * (colour - canvas[place])
        outline = cv2.dilate((alpha > 0.5).astype(np.uint8), rim) > 0
        labels[place][outline] = classes[which] + 1
        instances[place][outline] = number
    canvas += rng.normal(0, 0.02, canvas.shape).astype(np.float32)
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8), labels, instances


def _texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Two dark colours, mixed by smooth noise or by stripes."""
    low, high = rng.uniform(0.0, 0.45, (2, 3)).astype(np.float32)
    if rng.random() < 0.5:
        cells = int(rng.integers(3, 9))
        pattern = cv2.resize(rng.random((cells, cells), np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    else:
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.08, 0.3) * size
        y, x = np.mgrid[:size, :size]
        pattern = 0.5 + 0.5 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return low + pattern[..., None].astype(np.float32) * (high - low)
