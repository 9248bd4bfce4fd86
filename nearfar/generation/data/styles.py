"""Contents beside the pictures whose style they are to have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.common.randomness import derive_seed
from nearfar.generation.data.photos import SIZE, photos, texture
from nearfar.generation.data.pictures import Pictures
from nearfar.sources.fingerprint import digest_of
from nearfar.training import Data
from nearfar.vision.data.arrays import ImageArray

STYLES, HELD_OUT = 200, 20


class StyledBatch(NamedTuple):
    """Contents and styles: contents (N, 3, H, W) uint8, or N of them of any sizes, styles (N, 3, H', W') uint8, the
    contents' places in their collection (N,) int64."""

    images: Tensor | list[Tensor]
    styles: Tensor
    rows: Tensor


class ContentsAndStyles(Data):
    """A collection of contents, each with one of a collection of styles: content n with style n modulo their number.

    Args:
        contents: pictures, or whole pictures in files (see :mod:`nearfar.generation.data.whole`).
        styles: pictures of one size.
        splits: held-out sets by name.
    """

    gives = StyledBatch

    def __init__(self, contents: Data, styles: Pictures, *, splits: Mapping[str, Data] | None = None) -> None:
        self.pictures, self.styles = contents, styles
        self.name = f"{contents.name} in the style of {styles.name}"
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def ids(self) -> np.ndarray:
        return self.pictures.ids

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return self.pictures.readable(rows)

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {**self.pictures.contents(), "styles": digest_of(sorted(self.styles.contents().items()))}

    def batch(self, indices: np.ndarray) -> StyledBatch:
        images = self.pictures.batch(indices).images
        styles = self.styles.batch(np.asarray(indices) % len(self.styles)).images
        return StyledBatch(images, styles, torch.as_tensor(np.asarray(indices, np.int64)))


def drawn_styles(size: int | None = None, count: int = STYLES, seed: int = 0) -> Pictures:
    """Drawn textures as styles."""
    rng = np.random.default_rng(derive_seed(seed, "styles"))
    return Pictures(ImageArray(np.stack([texture(size or SIZE, rng) for _ in range(count)]), name="textures"))


def styled_photos(size: int | None = None, examples: int | None = None, seed: int = 0) -> ContentsAndStyles:
    """The embedded set ``styled-photos``: the pictures of ``photos`` in the style of textures; of both, others are
    held out."""
    found = photos(size, examples, seed)
    held_out = ContentsAndStyles(found.splits()["test"], drawn_styles(size, HELD_OUT, seed + 1_000_003))
    return ContentsAndStyles(found, drawn_styles(size, seed=seed), splits={"test": held_out})


def with_styles(data: Data, styles: Pictures) -> Data:
    """A collection of pictures, with its held-out sets, beside styles."""
    parts = {name: ContentsAndStyles(part, styles) for name, part in data.splits().items()}
    return ContentsAndStyles(data, styles, splits=parts)
