"""Captioned digits: pictures whose captions are a class's word among others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.training import Data
from nearfar.vision.data import ImageArray
from nearfar.vision.data import load as load_images

FILLERS, WORDS = 40, 4

EMBEDDED = {"captioned-digits": "styled digits, each with a caption of its class's word and three others"}


class CaptionBatch(NamedTuple):
    """Pictures (N, 3, H, W) uint8, the words of their captions (N, W) int64, and their positions (N,)."""

    images: Tensor
    words: Tensor
    rows: Tensor


class CaptionedPictures(Data):
    """Pictures with captions as bags of word numbers; words below the number of classes name the classes.

    Args:
        images: (N, H, W, 3) uint8.
        labels: (N,) class numbers 0..C-1.
        words: (N, W) word numbers.
        vocabulary: number of words.
    """

    gives = CaptionBatch

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        words: np.ndarray,
        vocabulary: int,
        *,
        name: str = "captioned pictures",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        if not len(images) == len(labels) == len(words) or words.ndim != 2:
            raise ValueError(
                f"every picture needs a label and a caption: got {len(images)}, {len(labels)} and {words.shape}"
            )
        self.pictures = ImageArray(images, labels)
        self.labels, self.words, self.vocabulary, self.name = labels, words.astype(np.int64), vocabulary, name
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, indices: np.ndarray) -> CaptionBatch:
        pictures = self.pictures.batch(indices)
        return CaptionBatch(pictures.images, torch.from_numpy(self.words[indices]), pictures.rows)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"vocabulary": self.vocabulary, "num_classes": int(np.asarray(self.labels).max()) + 1}

    def splits(self) -> Mapping[str, Data]:
        return self._splits


def load(data: Any = None, *, size: int | None = None) -> Data:
    """Captioned pictures: the embedded ones, or any labelled pictures, to which captions are made of their class.

    Args:
        data: ``captioned-digits`` when nothing is given; otherwise what vision reads, with labels.
        size: side in pixels; 16 for the embedded digits, 96 for files.

    Raises:
        ValueError: pictures without labels, of which no caption can be made.
    """
    if isinstance(data, Data) and not isinstance(data, ImageArray):
        return data
    if data is None or str(data) == "captioned-digits":
        images = load_images("styled-digits", size=size or 16)
    else:
        images = load_images(data, size=size)
    if images.labels is None:
        raise ValueError(f"all labels of {images.name} are missing, and captions are made of them; use class folders")
    names = np.unique(images.labels)

    def captioned(part: Data, seed: int, splits: Mapping[str, Data] | None = None) -> CaptionedPictures:
        pixels = []
        for first in range(0, len(part), 512):
            batch = part.batch(np.arange(first, min(first + 512, len(part))))
            shown = batch.images[:, 0] if batch.images.ndim == 5 else batch.images
            pixels.append(shown.permute(0, 2, 3, 1).numpy())
        labels = np.searchsorted(names, np.asarray(part.labels))
        rng = np.random.default_rng(seed)
        others = len(names) + rng.integers(0, FILLERS, (len(part), WORDS - 1))
        words = np.concatenate([labels[:, None], others], axis=1)
        return CaptionedPictures(
            np.concatenate(pixels), labels, words, len(names) + FILLERS, name=part.name, splits=splits
        )

    held_out = {n: captioned(p, 1) for n, p in list(images.splits().items())[:1] if p.labels is not None}
    if not held_out:
        order = np.random.default_rng(0).permutation(len(images))
        cut = max(len(images) // 5, 1)
        return captioned(images.subset(order[cut:]), 0, {"test": captioned(images.subset(order[:cut]), 1)})
    return captioned(images, 0, {"test": next(iter(held_out.values()))})


def synonyms(words: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """Captions (N, WORDS) with a fifth of their words drawn anew, but never those that name the class."""
    draw: dict[str, Any] = {"generator": generator, "device": words.device}
    swapped = torch.rand(words.shape, **draw) < 0.2
    swapped[:, 0] = False
    fill = torch.randint(num_classes, num_classes + FILLERS, words.shape, **draw)
    return torch.where(swapped, fill, words)
