"""Batches of pictures as loaders of one's own give them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nearfar.vision.batches import ImageBatch


def as_pictures(images: Tensor) -> Tensor:
    """Pictures (N, C, H, W) as uint8 of three channels.

    Args:
        images: uint8, or floats in [0, 1]; one channel (grey) or three.

    Raises:
        ValueError: another shape, or values that are neither: normalised pictures cannot be turned back.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"pictures of a batch have the shape (N, 3, H, W) or (N, 1, H, W), got {tuple(images.shape)}")
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise ValueError(f"pictures of a batch are uint8 or floats in [0, 1], got {images.dtype}")
    low, high = images.min().item(), images.max().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"pictures of a batch are uint8 or floats in [0, 1], got floats from {low:.3g} to {high:.3g}; leave "
            "normalising to the encoder, which does it itself"
        )
    return (images * 255).round().to(torch.uint8)


def own_batch(batch: Any, views: int) -> ImageBatch | tuple[Tensor, ...] | None:
    """A batch of a loader of one's own: raw pictures, views that its transforms made, or ``None`` for neither.

    Args:
        batch: pictures; ``(pictures, labels)``, whose labels are left aside; ``views`` tensors of floats as the encoder
            takes them, in [0, 1], of the same pictures; or ``(those, labels)``.
        views: how many the method compares. Two float tensors are two views where it compares two.
    """
    if isinstance(batch, Tensor):
        return _raw(batch)
    if not isinstance(batch, list | tuple) or not batch:
        return None
    parts = [*batch]
    if isinstance(parts[0], list | tuple) and len(parts) == 2:  # ([view, view], labels)
        parts = [*parts[0]]
    if all(isinstance(part, Tensor) and part.ndim == 4 for part in parts) and len(parts) > 1:
        if len(parts) != views or len({len(part) for part in parts}) > 1:
            raise ValueError(
                f"the method compares {views} views of each picture, and the loader gave {len(parts)} tensors of "
                f"{', '.join(str(len(part)) for part in parts)} pictures"
            )
        if not all(part.is_floating_point() for part in parts):
            raise ValueError("views of one's own are floats as the encoder takes them, in [0, 1]; got uint8")
        return tuple(parts)
    if isinstance(parts[0], Tensor) and parts[0].ndim == 4 and len(parts) <= 2:
        return _raw(parts[0])
    return None


def _raw(images: Tensor) -> ImageBatch:
    return ImageBatch(as_pictures(images), torch.arange(len(images), device=images.device))
