"""Two resolutions in one prediction: coarse context everywhere, fine detail where it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.segmentation.encoders import PyramidEncoder
from nearfar.segmentation.method import Segmenter

DIVISIBLE = 8


class Box(NamedTuple):
    """A window: rows ``top`` to ``bottom``, columns ``left`` to ``right``, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, x: Tensor) -> Tensor:
        return x[..., self.top : self.bottom, self.left : self.right]

    def scaled(self, rows: float, columns: float) -> Box:
        return Box(int(self.top * rows), int(self.bottom * rows), int(self.left * columns), int(self.right * columns))


class TwoResolutions(Segmenter):
    r"""HRDA's segmenter: one backbone and decoder for both resolutions, and an attention over scales.

    Context is the image at half its size; details are windows at full size. With :math:`s` logits,
    :math:`a = \sigma(A(f_{LR}))` one weight per class and place, and :math:`\zeta` bilinear enlargement by 2:
    :math:`\zeta(a) \odot s_{HR} + \zeta((1 - a) \odot s_{LR})`. Where no detail was looked at, a is 0. As the mask is
    laid on a before it is enlarged, weights just inside a window are a little below a, and leak half a cell outside
    (so in the released code).

    Args:
        backbone: gives maps at several strides.
        head: maps to logits.
        attention: maps to one number per class.
        detail: (height, width) of a detail window; half of the image each way when not given.
        window: (height, width) of what is predicted at once in inference, its half apart; larger images are
            covered by overlapping ones and averaged. The whole image when not given.
    """

    def __init__(
        self,
        backbone: PyramidEncoder,
        head: nn.Module,
        attention: nn.Module,
        detail: tuple[int, int] | None = None,
        window: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(backbone, head)
        self.attention = attention
        self.detail, self.window = detail, window

    def maps(self, images: Tensor) -> list[Tensor]:
        """The context's maps."""
        return self.backbone.maps(halve(images))

    def with_detail(self, images: Tensor, box: Box) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Logits fused over the images (N, 3, H, W) with one detail window, that window's own logits, and the
        context's maps; logits at the decoder's size."""
        maps = self.maps(images)
        detail = self.head(self.backbone.maps(box.cut(images)))
        height, width = (2 * side for side in maps[0].shape[2:])
        place = box.scaled(height / images.shape[2], width / images.shape[3])
        inserted = detail.new_zeros(*detail.shape[:2], height, width)
        place.cut(inserted).copy_(to_size(detail, place))
        seen = detail.new_zeros(1, 1, *maps[0].shape[2:])
        place.scaled(0.5, 0.5).cut(seen).fill_(1)
        return self.fuse(maps, inserted, seen), detail, maps

    def fuse(self, maps: list[Tensor], detail: Tensor, seen: Tensor | float = 1.0) -> Tensor:
        """Logits of context and detail (N, classes, 2 h, 2 w), the latter where ``seen`` (1, 1, h, w) is 1."""
        weight = torch.sigmoid(self.attention(maps)) * seen
        return double(weight) * detail + double((1 - weight) * self.head(maps))

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
        raise NotImplementedError("two resolutions are decoded together; take logits(images)")

    def logits(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        window = self.window or (height, width)
        if window[0] >= height and window[1] >= width:
            return self._whole(images)
        return averaged(images, window, (height, width), self._whole)

    def _whole(self, images: Tensor) -> Tensor:
        maps = self.maps(images)
        size = (2 * maps[0].shape[2], 2 * maps[0].shape[3])
        detail = self.detail or (images.shape[2] // 2, images.shape[3] // 2)
        found = averaged(images, detail, size, lambda part: self.head(self.backbone.maps(part)))
        return F.interpolate(self.fuse(maps, found), size=images.shape[2:], mode="bilinear", align_corners=False)


def halve(images: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 or float in [0, 1] to floats in [0, 1] at half the size."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images
    size = (images.shape[2] // 2, images.shape[3] // 2)
    return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def to_size(x: Tensor, box: Box) -> Tensor:
    """``x`` at the size of a window, which differs from its own where strides do not divide sizes."""
    size = (box.bottom - box.top, box.right - box.left)
    return x if x.shape[2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def random_box(height: int, width: int, size: tuple[int, int], generator: torch.Generator) -> Box:
    """A window of ``size`` at a random place of a picture, its corner divisible by 8."""
    if size[0] > height or size[1] > width:
        raise ValueError(f"a detail window of {size[0]} x {size[1]} does not fit into {height} x {width} pixels")
    draws = torch.rand(2, generator=generator, device=generator.device).tolist()
    corner = [
        int(u * ((whole - part) // DIVISIBLE + 1)) * DIVISIBLE
        for u, whole, part in zip(draws, (height, width), size, strict=True)
    ]
    return Box(corner[0], corner[0] + size[0], corner[1], corner[1] + size[1])


def cover(height: int, width: int, size: tuple[int, int]) -> Iterator[Box]:
    """Windows of ``size`` every half of it, the last ones moved inward to end where the picture ends."""
    size = (min(size[0], height), min(size[1], width))
    steps = [max(side // 2, 1) for side in size]
    for y in range(-(-(height - size[0]) // steps[0]) + 1):
        for x in range(-(-(width - size[1]) // steps[1]) + 1):
            top, left = min(y * steps[0], height - size[0]), min(x * steps[1], width - size[1])
            yield Box(top, top + size[0], left, left + size[1])


def averaged(
    images: Tensor, size: tuple[int, int], out: tuple[int, int], predict: Callable[[Tensor], Tensor]
) -> Tensor:
    """``predict`` of overlapping windows, averaged where they overlap, at size ``out``."""
    height, width = images.shape[2:]
    boxes = list(cover(height, width, size))
    found = predict(torch.cat([box.cut(images) for box in boxes])).chunk(len(boxes))
    total = found[0].new_zeros(*found[0].shape[:2], *out)
    times = found[0].new_zeros(1, 1, *out)
    for box, logits in zip(boxes, found, strict=True):
        place = box.scaled(out[0] / height, out[1] / width)
        place.cut(total).add_(to_size(logits, place))
        place.cut(times).add_(1)
    return total / times
