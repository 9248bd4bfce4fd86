"""The random numbers of a batch of views, separate from what is done with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from nearfar.common.share import for_examples


@dataclass(frozen=True, eq=False)
class Draws:
    """Everything random about the views of N images; :func:`~nearfar.vision.views.apply` does the rest.

    All tensors lie on one device. ``None`` where the recipe never does the thing.

    Attributes:
        boxes: (N, 4) int64, the crop as top, left, height and width in pixels; inside the image.
        flip: (N,) bool, mirrored left to right.
        factors: (N, 4) float32: brightness, contrast and saturation factors (1 changes nothing) and the hue's
            shift as a share of the colour circle (0 changes nothing).
        order: (N, 4) int64, each row a permutation of 0 to 3: the order in which brightness (0), contrast
            (1), saturation (2) and hue (3) are applied.
        gray: (N,) bool, turned into three equal colours.
        sigma: (N,) float32, standard deviation of the Gaussian blur in output pixels; 0 is no blur.
        solarize: (N,) float32, colours from this value on are inverted; a threshold above 1 inverts none.
    """

    boxes: Tensor
    flip: Tensor | None = None
    factors: Tensor | None = None
    order: Tensor | None = None
    gray: Tensor | None = None
    sigma: Tensor | None = None
    solarize: Tensor | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def device(self) -> torch.device:
        """Where the numbers lie."""
        return self.boxes.device

    def given(self) -> dict[str, Tensor]:
        """The tensors that are not ``None``, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value is not None}

    def to(self, device: torch.device | str) -> Draws:
        """The same numbers on another device."""
        return Draws(**{name: value.to(device) for name, value in self.given().items()})


def check_draws(draws: Draws, images: Tensor) -> None:
    """Refuse numbers that do not belong to these images.

    Values are looked at on the CPU only, where a box outside the image would be read from foreign memory; on
    an accelerator looking at them would make the host wait, and there they are clamped.

    Raises:
        ValueError: wrong lengths, widths or devices; boxes outside the images; rows of ``order`` that are not
            permutations; contrast without an order.
    """
    widths = {"boxes": 4, "factors": 4, "order": 4}
    for name, value in draws.given().items():
        shape = (len(images), widths[name]) if name in widths else (len(images),)
        if value.shape != shape:
            raise ValueError(f"draws.{name} must have shape {shape} for {len(images)} images, got {tuple(value.shape)}")
        if value.device != images.device:
            raise ValueError(f"draws.{name} is on {value.device} and the images are on {images.device}")
    if (draws.factors is None) != (draws.order is None):
        raise ValueError("draws.factors and draws.order come together; one of them is None")
    if images.device.type != "cpu" or not len(images):
        return
    top, left, height, width = draws.boxes.unbind(1)
    rows, columns = images.shape[2:]
    inside = (top >= 0) & (left >= 0) & (height > 0) & (width > 0)
    inside &= (top + height <= rows) & (left + width <= columns)
    if not inside.all():
        n = int((~inside).nonzero()[0])
        raise ValueError(
            f"draws.boxes[{n}] = {draws.boxes[n].tolist()} (top, left, height, width) does not lie inside "
            f"the image of {rows} x {columns} pixels"
        )
    if draws.order is not None and not (draws.order.sort(1).values == torch.arange(4)).all():
        raise ValueError("every row of draws.order must be a permutation of 0, 1, 2, 3")


# Columns of the matrix of uniform numbers. Each use has its own, whatever the recipe, so two recipes that
# start from one state of the generator take the same crops: a comparison of recipes is then a paired one.
TRIES = 10
AREA, RATIO = slice(0, TRIES), slice(TRIES, 2 * TRIES)
TOP, LEFT, FLIP, JITTER = 20, 21, 22, 23
FACTORS, ORDER = slice(24, 28), slice(28, 32)
GRAY, BLUR, SIGMA, SOLARIZE = 32, 33, 34, 35
COLUMNS = 36


def uniform(n: int, generator: torch.Generator, chunks: int) -> Tensor:
    """Numbers (n, COLUMNS) in [0, 1); the rows of a chunk are equal where ``chunks`` is not 0."""
    if not chunks or not n:
        return for_examples(lambda n: torch.rand(n, COLUMNS, generator=generator, device=generator.device), n)
    return for_examples(lambda count: _chunked(count, generator, chunks * (count // n)), n)


def _chunked(n: int, generator: torch.Generator, chunks: int) -> Tensor:
    u = torch.rand(n, COLUMNS, generator=generator, device=generator.device)
    chunks = min(chunks, n)
    size, longer = divmod(n, chunks)
    row = torch.arange(n, device=u.device)
    edge = longer * (size + 1)
    first = torch.where(row < edge, row - row % (size + 1), row - (row - edge) % size)
    return u[first]


def random_boxes(
    u: Tensor, height: Tensor, width: Tensor, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """torchvision's random resized crop of images of ``height`` x ``width`` pixels (N,): boxes (N, 4) as top, left,
    height, width.

    The share of the area is uniform in ``scale`` and the logarithm of the aspect ratio (width / height)
    uniform in that of ``ratio``, rounded to whole pixels. The first of ten tries that fits is taken, and the
    central crop of the whole image with its ratio clamped to ``ratio`` where none does.
    """
    height, width = height.unsqueeze(1), width.unsqueeze(1)
    area = u[:, AREA] * (scale[1] - scale[0]) + scale[0]
    # Powers and conversions to integers, because torch's exp, sqrt and round use all threads from 2,048
    # numbers on, which costs more than it saves: milliseconds on a busy machine. A plain 0.5 becomes a root.
    root = torch.pow(math.sqrt(ratio[1] / ratio[0]), u[:, RATIO]) * math.sqrt(ratio[0])
    side = torch.pow(area * (height * width), torch.tensor(0.5))
    widths, heights = (side * root + 0.5).long(), (side / root + 0.5).long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    found = fits.gather(1, first)
    fallback = central_ratio_box(height, width, ratio)
    h = torch.where(found, heights.gather(1, first), fallback[2])
    w = torch.where(found, widths.gather(1, first), fallback[3])
    top = torch.where(found, corner(u[:, TOP, None], height - h), fallback[0])
    left = torch.where(found, corner(u[:, LEFT, None], width - w), fallback[1])
    return torch.cat([top, left, h, w], 1)


def corner(u: Tensor, room: Tensor) -> Tensor:
    """Uniform among 0 to ``room``; a number just below 1 times (room + 1) may round up to room + 1."""
    return torch.minimum((u * (room + 1)).long(), room)


def central_ratio_box(
    height: Tensor, width: Tensor, ratio: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The largest centred box whose width / height lies within ``ratio``."""
    h = torch.minimum(height, (width.double() / ratio[0]).round().long()).clamp_min(1)
    w = torch.minimum(width, (height.double() * ratio[1]).round().long()).clamp_min(1)
    return (height - h) // 2, (width - w) // 2, h, w
