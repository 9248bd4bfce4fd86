"""Regions of pictures without labels: graph-based segmentation, and regions drawn from it that follow a view's crop."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nearfar.common.share import agreed_most, for_examples
from nearfar.vision.views import Draws

LEVELS = 65535
"""Edges are sorted by their weight in so many steps, which a radix sort does in one pass whatever the platform."""


def felzenszwalb(images: Tensor, *, scale: float = 1000.0, sigma: float = 0.8, min_size: int = 1000) -> Tensor:
    """Segments of even colour (Felzenszwalb and Huttenlocher, 2004, Efficient graph-based image segmentation).

    Neighbouring pixels (eight of them) are joined in the order of the distance of their colours, as long as it exceeds
    neither segment's own largest distance by more than ``scale / 255 / size``; then segments that are too small join
    the neighbour they are nearest to. Conventions are scikit-image's, which R-MAE segments with: colours in [0, 1],
    Euclidean distances, a Gaussian blur before. One thread takes a third of a millisecond for 32 x 32 pixels and 1.2 ms
    for 64 x 64.

    Args:
        images: (N, 3, H, W) uint8 on any device; the work is done on the CPU.
        scale: larger ones give larger segments, above 0. R-MAE's 1000 is for whole photographs.
        sigma: standard deviation of the blur in pixels, at least 0.
        min_size: least number of pixels of a segment, at least 1.

    Returns:
        (N, H, W) int64 on the images' device; the segments of a picture are numbered from 0 in the order of their
        first pixels, row by row.

    Raises:
        TypeError, ValueError: images that are not uint8 RGB; numbers out of range.
    """
    from scipy.ndimage import gaussian_filter  # not loaded with every method of images

    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        raise TypeError(f"images must be a uint8 tensor, got {getattr(images, 'dtype', type(images).__name__)}")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise ValueError(f"images must have shape (N, 3, H, W) with at least one pixel, got {tuple(images.shape)}")
    check_segments(scale, sigma, min_size)
    from nearfar.vision.region_kernel import join

    pixels = images.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32) / 255
    labels = np.empty(pixels.shape[:3], np.int64)
    edges = _edges(*pixels.shape[1:3])
    for n, picture in enumerate(pixels):
        smooth = gaussian_filter(picture, (sigma, sigma, 0)) if sigma else picture
        flat = smooth.reshape(-1, 3)
        weights = np.sqrt(np.square(flat[edges[0]] - flat[edges[1]]).sum(1))
        keys = np.rint(weights * (LEVELS / math.sqrt(3))).astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        join(edges, weights, order, scale / 255, min_size, labels[n].reshape(-1))
    return torch.from_numpy(labels).to(images.device)


def check_segments(scale: float, sigma: float, min_size: int) -> None:
    """Refuse settings of :func:`felzenszwalb` that are out of range."""
    if not scale > 0 or not sigma >= 0 or not min_size >= 1:
        raise ValueError(
            f"scale must be above 0, sigma at least 0 and min_size at least 1, got {scale}, {sigma} and {min_size}"
        )


def _edges(height: int, width: int) -> np.ndarray:
    """(2, E) pairs of neighbouring pixels: to the right, below, and on both diagonals below."""
    place = np.arange(height * width).reshape(height, width)
    pairs = (
        (place[:, :-1], place[:, 1:]),
        (place[:-1], place[1:]),
        (place[:-1, :-1], place[1:, 1:]),
        (place[:-1, 1:], place[1:, :-1]),
    )
    return np.stack([np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1)])


def crop_labels(labels: Tensor, draws: Draws, height: int, width: int) -> Tensor:
    """The labels (N, H, W) under the crop and flip of views of ``height`` x ``width``: those of the nearest pixels."""
    rows = _sources(draws.boxes[:, 0], draws.boxes[:, 2], height)
    columns = _sources(draws.boxes[:, 1], draws.boxes[:, 3], width)
    if draws.flip is not None:
        columns = torch.where(draws.flip[:, None], columns.flip(1), columns)
    image = torch.arange(len(labels), device=labels.device)[:, None, None]
    return labels[image, rows[:, :, None], columns[:, None, :]]


def _sources(start: Tensor, length: Tensor, size: int) -> Tensor:
    middle = torch.arange(size, device=start.device) * 2 + 1
    return start[:, None] + (middle * length[:, None]).div(2 * size, rounding_mode="floor")


def draw_regions(
    segments: Tensor,
    count: int,
    generator: torch.Generator,
    *,
    least_patches: int = 1,
    hidden: Tensor | None = None,
) -> Tensor:
    """``count`` segments of each picture, different while they last, -1 where a picture has none to give.

    Of fewer than ``count`` segments each is offered equally often, as in the released R-MAE code.

    Args:
        segments: (N, L, P) numbers of the segments of P pixels in each of L patches, at least 0.
        count: segments wanted.
        generator: on the segments' device.
        least_patches: segments that touch fewer patches are left out (``filter_small_patches`` is 2).
        hidden: (N, L) bool; given, only segments that touch a seen patch are taken (``random_fg``).

    Returns:
        (N, count) int64.
    """
    n, length = segments.shape[:2]
    numbers = agreed_most(int(segments.max()) + 1, segments.device)
    touched = torch.zeros(n, length, numbers, dtype=torch.bool, device=segments.device)
    touched.scatter_(2, segments, True)
    offered = touched.sum(1) >= max(least_patches, 1)
    if hidden is not None:
        offered &= (touched & ~hidden[..., None]).any(1)
    copies = -(-count // offered.sum(1).clamp_min(1))
    copy = torch.arange(count, device=segments.device)[:, None]
    offers = (offered[:, None] & (copy < copies[:, None, None])).flatten(1)  # (N, count * numbers)
    wide, device = offers.shape[1], segments.device
    keys = for_examples(lambda n: torch.rand(n, wide, generator=generator, device=device), n)
    best = torch.where(offers, keys, keys - 2).topk(count, dim=1)
    return torch.where(best.values >= 0, best.indices % numbers, -1)


def regions_of(segments: Tensor, chosen: Tensor) -> Tensor:
    """Binary maps (N, K, L, P) of the ``chosen`` (N, K) among the segments (N, L, P)."""
    return segments[:, None] == chosen[..., None, None]
