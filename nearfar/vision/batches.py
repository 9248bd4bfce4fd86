"""Batches of pictures."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ImageBatch(NamedTuple):
    """Raw images (N, 3, H, W) uint8 and their positions in the collection (N,) int64.

    Where the data has several pictures of each thing, images are (N, K, 3, H, W). Pictures of several sizes lie in
    the upper left corners of the images; ``sizes`` (N, 2) are then their heights and widths, ``side`` that of views
    whose recipe names none, and :func:`nearfar.vision.method.random_view` keeps to them.
    """

    images: Tensor
    rows: Tensor
    sizes: Tensor | None = None
    side: int | None = None
