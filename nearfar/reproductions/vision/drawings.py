"""People's drawings of many things: pictures on which methods differ, with digits where the drawings are not there."""

from __future__ import annotations

import functools

import numpy as np

from nearfar.reproductions.arms import shared
from nearfar.sources.data import Data
from nearfar.vision.data import load
from nearfar.vision.data.arrays import ImageArray

DRAWINGS = shared("quickdraw/quickdraw.npz")
LINEAR, KNN = "linear held out", "knn held out"


@functools.cache
def drawings() -> Data:
    """The 6,000 drawings of 60 things at 28 px, every fifth held out; styled digits without the shared data.

    A probe of an untrained encoder names about a fifth of them, and of trained ones half or more, so that there is room
    on both sides; 60 things make it rare that two of a batch show the same.
    """
    if DRAWINGS is None:
        digits = load()
        pixels = digits.batch(np.arange(len(digits))).images.permute(0, 2, 3, 1).numpy()
        held_out = {"held out": digits.splits()["seen styles"]}
        return ImageArray(pixels, digits.labels, name=digits.name, splits=held_out)
    with np.load(DRAWINGS, allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"].astype(np.int64)
    last = np.arange(len(y)) % 5 == 4
    held_out = {"held out": ImageArray(x[last], y[last], name="held-out drawings")}
    return ImageArray(x[~last], y[~last], name="drawings", splits=held_out)


def named() -> str:
    """What :func:`drawings` gives, for a setting."""
    return "4,800 drawings of 60 things at 28 px" if DRAWINGS else "scikit-learn's handwriting in drawn styles at 16 px"
