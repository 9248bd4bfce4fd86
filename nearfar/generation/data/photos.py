"""Embedded pictures with detail: cuttings of scikit-learn's two photographs, and drawn textures and letters."""

from __future__ import annotations

import string

import cv2
import numpy as np

from nearfar.common.randomness import derive_seed
from nearfar.generation.data.pictures import Pictures
from nearfar.vision.data.arrays import ImageArray

SIZE, TRAIN, TEST = 48, 600, 60
LARGER = 0.5
"""The photographs are used at half of their size: they are sharp there."""
NAMES = ("photographs", "textures", "letters")


def photos(size: int | None = None, examples: int | None = None, seed: int = 0) -> Pictures:
    """The embedded set ``photos``: a third of each of :data:`NAMES`, which are the labels.

    Training cuts from the left two thirds of the photographs and the test from the rest, so that no pixel is in both.
    """
    side = size or SIZE
    test = _drawn(TEST, side, seed + 1_000_003, "photos, test", test=True)
    train = _drawn(examples or TRAIN, side, seed, "photos")
    return Pictures(train.source, name="photos", splits={"test": test})


def _drawn(count: int, side: int, seed: int, name: str, *, test: bool = False) -> Pictures:
    rng = np.random.default_rng(derive_seed(seed, "photos"))
    sources = _photographs(side, test=test)
    makers = (lambda: _cutting(sources, side, rng), lambda: texture(side, rng), lambda: _letters(side, rng))
    labels = np.arange(count) % len(makers)
    images = np.stack([makers[label]() for label in labels])
    return Pictures(ImageArray(images, np.array(NAMES)[labels], name=name))


def _photographs(side: int, *, test: bool) -> list[np.ndarray]:
    """The parts of the photographs, enlarged where they are smaller than a cutting."""
    from sklearn.datasets import load_sample_images

    found = []
    for photograph in load_sample_images().images:
        scale = max(LARGER, 3 * side / photograph.shape[1])
        small = np.asarray(cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        seam = small.shape[1] * 2 // 3
        found.append(small[:, seam:] if test else small[:, :seam])
    return found


def _cutting(sources: list[np.ndarray], side: int, rng: np.random.Generator) -> np.ndarray:
    photograph = sources[rng.integers(len(sources))]
    top, left = (int(rng.integers(0, n - side + 1)) for n in photograph.shape[:2])
    cut = photograph[top : top + side, left : left + side]
    return cut[:, ::-1] if rng.random() < 0.5 else cut


def texture(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 3) uint8: two colours in sharp stripes, checks, rings or blots."""
    low, high = rng.integers(0, 256, (2, 3)).astype(np.float64)
    y, x = np.mgrid[:side, :side] + rng.uniform(0, side, (2, 1, 1))
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 14)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wave, other = np.sin(2 * np.pi * along / period), np.sin(2 * np.pi * across / period)
    kind = rng.integers(4)
    if kind == 3:
        noise = rng.normal(size=(side, side))
        pattern = cv2.GaussianBlur(noise, (0, 0), rng.uniform(1.0, 2.5))
        pattern = pattern / pattern.std()
    else:
        pattern = (wave, wave * other, np.sin(2 * np.pi * np.hypot(x - side, y - side) / period))[kind]
    share = 0.5 + 0.5 * np.tanh(rng.uniform(1, 8) * pattern)
    return (low + share[..., None] * (high - low)).round().astype(np.uint8)


def _letters(side: int, rng: np.random.Generator) -> np.ndarray:
    paper, ink = rng.integers(0, 256, (2, 3)).tolist()
    big = np.full((4 * side, 4 * side, 3), paper, np.uint8)
    for row in range(6):
        words = "".join(rng.choice([*string.ascii_letters, " "], 14))
        place = (int(rng.integers(-20, 10)), int((row + 0.8) * 4 * side / 5))
        cv2.putText(big, words, place, int(rng.integers(4)), side / 48 * 1.3, ink, 4, cv2.LINE_AA)
    return np.asarray(cv2.resize(big, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
