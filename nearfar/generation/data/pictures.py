"""Collections of pictures with what is known of each: a class, a caption, the factors that it was drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.labels import one_label
from nearfar.training import Data
from nearfar.vision.method import ImageBatch


class PictureBatch(NamedTuple):
    """Pictures with what is said of them: images (N, 3, H, W) uint8, their places in the collection (N,) int64, class
    numbers (N,) int64 with -1 where none is known, and N captions, empty where there are none."""

    images: Tensor
    rows: Tensor
    labels: Tensor
    captions: list[str]


class Pictures(Data):
    """Pictures of one size.

    Args:
        images: a collection whose batches are :class:`nearfar.vision.method.ImageBatch` (a folder that is read as it
            goes, an array in memory) or captioned pictures.
        captions: one for each, or ``None``.
        factors: (N, F) numbers that each picture was drawn from, or ``None``.
        factor_names: F names of them.
        name: what to call the set; the collection's own name otherwise.
        splits: held-out sets by name; the collection's own otherwise.

    Attributes:
        classes: names of the classes, in the order of their numbers.

    Raises:
        ValueError: captions or factors that are not one for each picture.
    """

    gives = PictureBatch

    def __init__(
        self,
        images: Data,
        *,
        captions: Sequence[str] | None = None,
        factors: np.ndarray | None = None,
        factor_names: Sequence[str] = (),
        name: str | None = None,
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        self.source = images
        self.name = name or images.name
        self.labels = one_label(images.labels)
        found = getattr(images, "captions", None) if captions is None else captions
        self.captions = None if found is None else [str(each) for each in found]
        self.factors, self.factor_names = factors, tuple(factor_names)
        for what, values in (("captions", self.captions), ("factors", factors)):
            if values is not None and len(values) != len(images):
                raise ValueError(f"{what} has {len(values)} entries for {len(images)} pictures")
        if factors is not None and factors.shape[1] != len(self.factor_names):
            raise ValueError(f"{len(self.factor_names)} names for {factors.shape[1]} factors")
        self.classes = () if self.labels is None else tuple(np.unique(self._named()).tolist())
        self._splits = None if splits is None else dict(splits)
        self.skipped = getattr(images, "skipped", None)

    def _named(self) -> np.ndarray:
        """The labels that say something: whole numbers below 0 do not."""
        assert self.labels is not None
        return self.labels[self.labels >= 0] if self.labels.dtype.kind in "iu" else self.labels

    def __len__(self) -> int:
        return len(self.source)

    @property
    def ids(self) -> np.ndarray:
        return self.source.ids

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return self.source.readable(rows)

    def splits(self) -> Mapping[str, Data]:
        if self._splits is None:
            self._splits = {name: pictures_of(part) for name, part in self.source.splits().items()}
        return self._splits

    @property
    def facts(self) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"side": int(self.batch(np.arange(1)).images.shape[-1]) if len(self) else None}
        if self.classes:
            facts["num_classes"] = len(self.classes)
        return facts

    def contents(self) -> Mapping[str, str]:
        return {**self.source.contents(), "said": digest_of(self.labels, [self.captions, self.factors])}

    def batch(self, indices: np.ndarray) -> PictureBatch:
        found = self.source.batch(indices)
        images = found.images[:, 0] if found.images.ndim == 5 else found.images
        rows = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        captions = [""] * len(indices) if self.captions is None else [self.captions[i] for i in indices]
        return PictureBatch(images, rows, torch.as_tensor(self.numbers(indices)), captions)

    def numbers(self, indices: np.ndarray) -> np.ndarray:
        """The classes of some pictures as numbers, -1 where none is known."""
        if self.labels is None:
            return np.full(len(indices), -1)
        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place.get(each, -1) for each in self.labels[indices].tolist()], dtype=np.int64)


def pictures_of(data: Data) -> Pictures:
    """A collection of images, or of captioned ones, as pictures.

    Raises:
        TypeError: a collection of something else.
    """
    if isinstance(data, Pictures):
        return data
    if not len(data) or not hasattr(data.batch(np.arange(1)), "images"):
        raise TypeError(f"{data.name} holds no pictures")
    return Pictures(data)


def as_pictures(images: Tensor) -> np.ndarray:
    """(N, C, H, W) numbers in [-1, 1] as (N, H, W, 3) uint8; one channel becomes three equal ones."""
    scaled = ((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    scaled = scaled.expand(-1, 3, -1, -1) if scaled.shape[1] == 1 else scaled
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


def as_signal(images: Tensor, channels: int = 3) -> Tensor:
    """(N, 3, H, W) uint8 as float32 in [-1, 1]; of one channel, their mean."""
    signal = images.float() / 127.5 - 1
    return signal.mean(1, keepdim=True) if channels == 1 else signal


def plain_images(batch: ImageBatch | PictureBatch | Tensor) -> Tensor:
    """The images (N, 3, H, W) of whatever holds some."""
    images = batch if isinstance(batch, Tensor) else batch.images
    return images[:, 0] if images.ndim == 5 else images
