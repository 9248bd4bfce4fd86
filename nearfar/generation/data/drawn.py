"""Embedded pictures of which every factor is known: one shape each, and real handwriting."""

from __future__ import annotations

import numpy as np

from nearfar.common.randomness import derive_seed
from nearfar.generation.data.pictures import Pictures
from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.data.shapes import SHAPES, Factors, draw

FACTORS = ("shape", "x", "y", "scale", "hue")
"""What differs from sprite to sprite, each drawn by itself."""
SHOWN = 3
"""Shapes that sprites have, the first so many."""
TRAIN, TEST = 2000, 400
DIGITS_TEST = 300


def sprite_factors(values: np.ndarray) -> Factors:
    """Rows of :data:`FACTORS` as what is to be drawn: on a ground that never changes, upright, nothing hidden.

    Args:
        values: (N, 5): a whole number below :data:`SHOWN`; centres and radius as shares of the side; hue in turns.
    """
    n = len(values)
    shape, x, y, scale, hue = (values[:, [column]] for column in range(5))
    still = np.zeros(n)
    return Factors(
        shape=shape.astype(np.int64),
        hue=hue,
        angle=np.full((n, 1), np.pi / 2),
        scale=scale,
        x=x,
        y=y,
        texture=np.zeros(n, np.int64),
        ground=still,
        light=np.ones(n),
        tint=still,
        occlusion=still,
        side=still,
    )


def sprite_values(count: int, seed: int) -> np.ndarray:
    """(N, 5) values of :data:`FACTORS`, independent of one another."""
    rng = np.random.default_rng(derive_seed(seed, "sprites"))
    columns = [
        rng.integers(0, SHOWN, count),
        rng.uniform(0.3, 0.7, count),
        rng.uniform(0.3, 0.7, count),
        rng.uniform(0.16, 0.3, count),
        rng.uniform(0.0, 0.66, count),  # red to blue: a hue's two ends are not alike
    ]
    return np.stack(columns, 1).astype(np.float64)


def sprite_pictures(values: np.ndarray, side: int, name: str = "sprites") -> Pictures:
    """The pictures of rows of :data:`FACTORS`; labels are shapes, captions say what is seen."""
    images, _ = draw(sprite_factors(values), side)
    array = ImageArray(images, values[:, 0].astype(np.int64), name=name)
    return Pictures(array, captions=described(values), factors=values, factor_names=FACTORS)


def described(values: np.ndarray) -> list[str]:
    """A few words for each row of :data:`FACTORS`: size, colour, shape and half of the picture."""
    colours = np.array(("red", "green", "blue"))[np.minimum((values[:, 4] / 0.22).astype(int), 2)]
    sizes = np.where(values[:, 3] < 0.23, "small", "large")
    sides = np.where(values[:, 1] < 0.5, "left", "right")
    shapes = np.array(SHAPES[:SHOWN])[values[:, 0].astype(int)]
    return [f"a {a} {b} {c} on the {d}" for a, b, c, d in zip(sizes, colours, shapes, sides, strict=True)]


def sprites(size: int, examples: int, seed: int = 0) -> Pictures:
    """The embedded set ``sprites``."""
    test = sprite_pictures(sprite_values(TEST, seed + 1_000_003), size, "sprites, test")
    train = sprite_pictures(sprite_values(examples, seed), size)
    train._splits = {"test": test}
    return train


def grey_digits(size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's digits: (1797, side, side) uint8 and their labels; 8 pixels unless another size is given."""
    import cv2
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    grey = np.minimum(images.reshape(-1, 8, 8) * 16, 255).astype(np.uint8)
    if size not in (None, 8):
        grey = np.stack([cv2.resize(each, (size, size), interpolation=cv2.INTER_LINEAR) for each in grey])
    return grey, labels.astype(np.int64)


WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(size: int) -> Pictures:
    """The embedded set ``digits``: white on black, the last 300 held out; captions name the digit."""
    grey, labels = grey_digits(size)
    return _digit_sets(grey, labels, "digits")


def tinted_digits(size: int) -> Pictures:
    """The embedded set ``tinted-digits``: each digit of a drawn light colour on a drawn dark one."""
    grey, labels = grey_digits(size)
    rng = np.random.default_rng(derive_seed(0, "tints"))
    ink = rng.uniform(0.35, 1.0, (len(grey), 1, 1, 3))
    ground = rng.uniform(0.0, 0.35, (len(grey), 1, 1, 3))
    share = grey[..., None] / 255
    return _digit_sets(np.rint(255 * (share * ink + (1 - share) * ground)).astype(np.uint8), labels, "tinted-digits")


def _digit_sets(grey: np.ndarray, labels: np.ndarray, name: str) -> Pictures:
    captions = [f"the digit {WORDS[label]}" for label in labels]

    def part(rows: slice, name: str, splits: dict[str, Pictures] | None = None) -> Pictures:
        return Pictures(ImageArray(grey[rows], labels[rows], name=name), captions=captions[rows], splits=splits or {})

    test = part(slice(-DIGITS_TEST, None), f"{name}, test")
    return part(slice(None, -DIGITS_TEST), name, {"test": test})
