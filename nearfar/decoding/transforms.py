"""RITUAL's six transformations of a picture."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Transformation = Literal["hflip", "vflip", "rotate", "color", "blur", "crop"]


def transformed(image: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """A transformed copy of a picture (H, W, 3) uint8, of its size.

    ``hflip``, ``vflip``; ``rotate`` by up to 180 degrees either way, what comes in is black; ``color``: brightness,
    contrast and saturation times a factor in [0, 2], hue moved by up to half a turn, in a random order; ``blur``: a
    Gaussian of 13 pixels and a deviation of 1.5 to 2; ``crop``: 8 to 100% of the area with a side ratio of 3/4 to 4/3,
    resized. Names and ranges are the release's, from torchvision's transformations.
    """
    height, width = image.shape[:2]
    if name == "hflip":
        return image[:, ::-1].copy()
    if name == "vflip":
        return image[::-1].copy()
    if name == "rotate":
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rng.uniform(-180, 180), 1.0)
        return cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_NEAREST)
    if name == "blur":
        return cv2.GaussianBlur(image, (13, 13), rng.uniform(1.5, 2.0), borderType=cv2.BORDER_REFLECT_101)
    if name == "crop":
        return _crop(image, rng)
    return _jitter(image, rng)


def _crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    for _ in range(10):
        area = height * width * rng.uniform(0.08, 1.0)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
            part = image[top : top + h, left : left + w]
            return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    return image.copy()


def _jitter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    x = image.astype(np.float32)
    gray = np.array([0.299, 0.587, 0.114], np.float32)
    for part in rng.permutation(4):
        factor = rng.uniform(0, 2)
        if part == 0:
            x = x * factor
        elif part == 1:
            x = factor * x + (1 - factor) * (x @ gray).mean()
        elif part == 2:
            x = factor * x + (1 - factor) * (x @ gray)[..., None]
        else:
            hsv = cv2.cvtColor(x.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0].astype(np.int32) + round(180 * rng.uniform(-0.5, 0.5))) % 180
            x = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
        x = x.clip(0, 255)
    return x.round().astype(np.uint8)
