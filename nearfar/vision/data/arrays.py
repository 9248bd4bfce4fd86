"""Images that are all of one size and held in memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.labels import one_label
from nearfar.sources.skipped import Skipped
from nearfar.training import Data
from nearfar.vision.method import ImageBatch


class ImageArray(Data):
    """uint8 images of one size, with optional labels and held-out sets.

    Args:
        images: (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4) uint8; float images in [0, 1] are scaled. One
            picture (H, W, 3) or (H, W, 4) is a set of one. Grey becomes three equal colours. A fourth channel is taken
            for transparency and dropped, with a warning where it varies.
        labels: (N,) class numbers or names, (N, C) with one 1 in each row, or ``None``; -1, NaN and empty names mean
            that a picture has none.
        ids: (N,) identifiers; positions by default.
        name: what to call the set.
        splits: held-out sets by name.

    Raises:
        ValueError: shapes, types or value ranges that are not images; labels or ids of another length.
    """

    gives = ImageBatch

    skipped: Skipped | None = None

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        ids: np.ndarray | None = None,
        name: str = "images",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        self.images = as_images(images)
        self._given = np.asarray(images).dtype
        self.name = name
        for what, values in (("labels", labels), ("ids", ids)):
            if values is not None and len(values) != len(self.images):
                raise ValueError(f"{what} has {len(values)} entries for {len(self.images)} images")
        self.labels = one_label(labels)
        if self.labels is not None and (self.labels.ndim != 1 or self.labels.dtype.kind not in "biufU"):
            raise ValueError(
                f"labels must be one number or name per image, got {self.labels.dtype} of shape {self.labels.shape}"
            )
        self._ids = np.arange(len(self.images)) if ids is None else np.asarray(ids)
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray) -> ImageBatch:
        # Colours stay last in memory, which views and convolutions read directly.
        pixels = torch.from_numpy(self.images[indices]).permute(0, 3, 1, 2)
        return ImageBatch(pixels, torch.as_tensor(indices))

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    @property
    def notes(self) -> list[str]:
        """How large the pictures are and which values they hold."""
        if not self.images.size:
            return []
        height, width = self.images.shape[1:3]
        scaled = "" if self._given == np.uint8 else f", which {self._given} became"
        return [f"{width} x {height} pixels, values {self.images.min()} to {self.images.max()} of 8 bits{scaled}"]

    def contents(self) -> Mapping[str, str]:
        found = {"images": digest_of(self.images)}
        return found if self.labels is None else {**found, "labels": digest_of(self.labels)}


class ImageGroups(ImageArray):
    """Several pictures of each thing, such as one object in several styles; a view is of any of them.

    Evaluation and embedding take the first. Where there is one picture of each, use :class:`ImageArray`.

    Args:
        images: (N, K, H, W, C), K pictures of N things; values as for :class:`ImageArray`.
        labels, ids, name, splits: as there, one per thing.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        ids: np.ndarray | None = None,
        name: str = "images",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        images = np.asarray(images)
        if images.ndim != 5 or images.shape[1] < 1:
            raise ValueError(f"images must have shape (N, K, H, W, C) with K at least 1, got {images.shape}")
        super().__init__(images[:, 0], labels, ids=ids, name=name, splits=splits)
        flat = as_images(images.reshape(-1, *images.shape[2:]))
        self.groups = flat.reshape(*images.shape[:2], *flat.shape[1:])

    def contents(self) -> Mapping[str, str]:
        return {**super().contents(), "images": digest_of(self.groups)}

    def batch(self, indices: np.ndarray) -> ImageBatch:
        pixels = torch.from_numpy(self.groups[indices]).permute(0, 1, 4, 2, 3)
        return ImageBatch(pixels, torch.as_tensor(indices))


def as_images(images: np.ndarray) -> np.ndarray:
    """Any usual array of images as (N, H, W, 3) uint8."""
    images = np.asarray(images)
    if images.ndim == 3:
        # Grey pictures of three or four columns are none; one picture in colour is.
        one = images.shape[-1] in (3, 4) and min(images.shape[:2]) > 4
        images = images[None] if one else images[..., None]
    if images.ndim == 4 and images.shape[-1] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4) or 0 in images.shape[1:]:
        raise ValueError(
            f"images must have shape (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 colours; got {images.shape}"
        )
    if images.dtype.kind not in "uifb":
        raise ValueError(f"images must be numbers: uint8 in [0, 255] or floats in [0, 1]; got {images.dtype}")
    if np.issubdtype(images.dtype, np.floating):
        if images.size and (not np.isfinite(images).all() or images.min() < 0 or images.max() > 1):
            raise ValueError(
                "float images must lie in [0, 1]; divide by their largest value, give uint8 images in [0, 255], or say "
                "by a window [low, high] which values are black and white"
            )
        images = np.round(images * 255).astype(np.uint8)
    elif images.dtype != np.uint8:
        if images.size and (images.min() < 0 or images.max() > 255):
            raise ValueError(
                f"integer images must lie in [0, 255], got {images.min()} to {images.max()}; a window [low, high] says "
                "which values are black and white"
            )
        images = images.astype(np.uint8)
    if images.shape[-1] == 4 and images.size and (images[..., 3] != images[0, 0, 0, 3]).any():
        warnings.warn(
            "the fourth channel of the images varies and is dropped, as transparency; encoders and views take three. "
            "If it is a signal of its own, give the three channels that matter",
            stacklevel=3,
        )
    images = images[..., :3]
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else np.ascontiguousarray(images)
