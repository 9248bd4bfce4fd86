"""The image pipeline that views are compared with: lightly's, or what it would run with PIL.

lightly's transforms need torchvision's. Where torchvision's compiled operators do not load (they are built
for another torch), its Python transforms still work on PIL images once the operators' names exist; nothing
here calls them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from peers import load_torchvision
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor

PairOfViews = Callable[[Image.Image], Any]


def simclr_pipeline(size: int, blur: bool) -> tuple[str, PairOfViews]:
    """A name, and SimCLR's two views of one PIL image as two float tensors (3, size, size) in [0, 1]."""
    try:
        transforms = import_lightly()
    except ImportError:
        return "PIL stand-in (lightly or torchvision is not installed)", StandIn(size, blur)
    return "lightly", transforms.SimCLRTransform(input_size=size, gaussian_blur=0.5 if blur else 0.0, normalize=None)


def import_lightly() -> Any:
    """``lightly.transforms``, with declared but empty operators where torchvision's own do not load."""
    load_torchvision()
    import lightly.transforms

    return lightly.transforms


class StandIn:
    """The same steps with the same PIL calls, without the layers around them, so not slower."""

    def __init__(self, size: int, blur: bool) -> None:
        self.size = size
        self.blur = blur

    def __call__(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        return self.view(image), self.view(image)

    def view(self, image: Image.Image) -> Tensor:
        """One random view."""
        left, top, width, height = self.box(*image.size)
        image = image.crop((left, top, left + width, top + height))
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if random.random() < 0.8:
            image = self.jitter(image)
        if random.random() < 0.2:
            gray = image.convert("L")
            image = Image.merge("RGB", (gray, gray, gray))
        if self.blur and random.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Random crop as left, top, width, height."""
        for _ in range(10):
            area = random.uniform(0.08, 1.0) * width * height
            root = (4 / 3) ** random.uniform(-0.5, 0.5)
            w, h = round(area**0.5 * root), round(area**0.5 / root)
            if 0 < w <= width and 0 < h <= height:
                return random.randint(0, width - w), random.randint(0, height - h), w, h
        return 0, 0, width, height

    def jitter(self, image: Image.Image) -> Image.Image:
        """Brightness, contrast, saturation and hue in random order."""
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for step in random.sample(range(4), 4):
            if step < 3:
                image = enhancers[step](image).enhance(random.uniform(0.2, 1.8))
            else:
                hue, saturation, value = image.convert("HSV").split()
                shift = int(random.uniform(-0.2, 0.2) * 255) % 256
                turned = Image.fromarray(np.array(hue) + np.uint8(shift))
                image = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
        return image
