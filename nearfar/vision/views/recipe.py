"""A recipe of random views: what is varied, how often and how much."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nearfar.vision.views import draws as sampling
from nearfar.vision.views.dispatch import Backend, apply, check_images
from nearfar.vision.views.draws import Draws


@dataclass(frozen=True)
class Recipe:
    """Random views of image batches: crop, flip, colour jitter, grayscale, blur, solarisation, in this order.

    >>> recipe = Recipe(size=32, flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    >>> view = recipe(images, torch.Generator().manual_seed(0))  # (N, 3, 32, 32)

    By itself it only crops. The methods' own recipes are in :data:`~nearfar.vision.views.RECIPES`.

    Args:
        size: side of the square views in pixels; the images' own height and width when not given.
        scale: share of the image's area that the random crop keeps, drawn uniformly; ``None`` for no random
            crop but the central one.
        ratio: width / height of the random crop, its logarithm drawn uniformly.
        centre: without a random crop: side of the central square as a share of the image's shorter side, in
            (0, 1]. Without ``size`` it must be 1, which is the whole image.
        flip: probability of mirroring left to right.
        brightness: largest change of the brightness factor, drawn uniformly in [max(0, 1 - b), 1 + b].
        contrast: the same for the distance of every colour from the image's mean luma.
        saturation: the same for the distance of every colour from its own luma.
        hue: largest turn of the hue as a share of the colour circle, in [0, 0.5].
        jitter_p: probability that brightness, contrast, saturation and hue are changed at all. They are
            applied in an order drawn for each image, clipped to [0, 1] after each.
        gray_p: probability of three equal colours (luma 0.299, 0.587, 0.114).
        blur_p: probability of a Gaussian blur, whose kernel is a tenth of the view's side (see
            :func:`~nearfar.vision.views.blur_radius`).
        blur_sigma: the blur's standard deviation in pixels of the view, drawn uniformly.
        solarize_p: probability that colours from ``solarize_threshold`` on are inverted.
        solarize_threshold: in [0, 1].
        batch_same: ``True``: one draw for the whole batch; k > 1: one for each of k chunks, split as
            ``torch.tensor_split`` does; ``False``: one for every image. Where only the colours should be the
            same, take ``factors`` and ``order`` of such draws into others with ``dataclasses.replace``.

    Raises:
        TypeError: a field of the wrong type.
        ValueError: a probability outside [0, 1], a range that is reversed or not positive, and the like.
    """

    size: int | None = None
    scale: tuple[float, float] | None = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    centre: float = 1.0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jitter_p: float = 1.0
    gray_p: float = 0.0
    blur_p: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize_p: float = 0.0
    solarize_threshold: float = 0.5
    batch_same: bool | int = False

    def __post_init__(self) -> None:
        if self.size is not None:
            whole("size", self.size, least=1)
        if not isinstance(self.batch_same, bool):
            whole("batch_same", self.batch_same, least=0)
        for name in ("flip", "jitter_p", "gray_p", "blur_p", "solarize_p", "solarize_threshold"):
            between(name, getattr(self, name), 0.0, 1.0)
        for name in ("brightness", "contrast", "saturation"):
            between(name, getattr(self, name), 0.0, math.inf)
        between("hue", self.hue, 0.0, 0.5)
        between("centre", self.centre, 0.0, 1.0)
        if self.centre == 0.0:
            raise ValueError("centre must be greater than 0, got 0")
        if self.centre != 1.0 and (self.scale is not None or self.size is None):
            raise ValueError(
                f"centre = {self.centre} is for the central crop: it needs scale=None and a size, "
                f"got scale = {self.scale} and size = {self.size}"
            )
        # Lists, as a configuration file has them, become tuples, so that recipes stay hashable.
        for name, most in (("scale", 1.0), ("ratio", math.inf), ("blur_sigma", math.inf)):
            if getattr(self, name) is not None or name != "scale":
                object.__setattr__(self, name, rising(name, getattr(self, name), most))

    def with_(self, **changes: Any) -> Recipe:
        """The same recipe with some fields changed: ``simclr().with_(size=96, blur_p=0)``."""
        return dataclasses.replace(self, **changes)

    @property
    def jitters(self) -> bool:
        """Whether colours are ever changed by the jitter."""
        return self.jitter_p > 0 and max(self.brightness, self.contrast, self.saturation, self.hue) > 0

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the views of images of this size."""
        return (height, width) if self.size is None else (self.size, self.size)

    def draw(self, n: int, height: int | Tensor, width: int | Tensor, generator: torch.Generator) -> Draws:
        """The random numbers for ``n`` images of ``height`` x ``width`` pixels, on the generator's device.

        Images of several sizes lie in the upper left corners of one tensor and have (n,) heights and widths.

        Always takes the same amount from the generator, whatever the fields: recipes that start from the same
        state and share their crop fields take the same crops.

        Raises:
            TypeError, ValueError: no generator; a size that is not positive.
        """
        whole("n", n, least=0)
        check_generator(generator)
        sides = [_sides(name, side, n, generator.device) for name, side in (("height", height), ("width", width))]
        u = sampling.uniform(n, generator, int(self.batch_same))
        factors = order = None
        if self.jitters:
            factors, order = self._jitter(u)
        return Draws(
            boxes=self._boxes(u, *sides),
            flip=u[:, sampling.FLIP] < self.flip if self.flip > 0 else None,
            factors=factors,
            order=order,
            gray=u[:, sampling.GRAY] < self.gray_p if self.gray_p > 0 else None,
            sigma=self._sigma(u) if self.blur_p > 0 else None,
            solarize=self._solarize(u) if self.solarize_p > 0 else None,
        )

    def __call__(
        self,
        images: Tensor,
        generator: torch.Generator,
        *,
        sizes: Tensor | None = None,
        backend: Backend = "auto",
    ) -> Tensor:
        """One random view of each image.

        Args:
            images: (N, 3, H, W) uint8.
            generator: on the images' device; its state decides the views.
            sizes: heights and widths (N, 2) of pictures that lie in the upper left corners of the images; what is
                beyond them is never seen. They fill the images when not given.
            backend: see :func:`~nearfar.vision.views.apply`.

        Returns:
            (N, 3, size, size) float32 in [0, 1], contiguous in channels-last memory format.

        Raises:
            TypeError, ValueError: images that are not uint8 RGB; a generator on another device.
        """
        check_images(images)
        check_generator(generator)
        if generator.device.type != images.device.type:
            raise ValueError(
                f"generator is on {generator.device} and the images are on {images.device}; make it with "
                f"torch.Generator({str(images.device)!r})"
            )
        n, _, height, width = images.shape
        if sizes is None:
            draws = self.draw(n, height, width, generator)
        else:
            check_sizes(sizes, images)
            draws = self.draw(n, sizes[:, 0], sizes[:, 1], generator)
        return apply(images, draws, self.output_size(height, width), backend=backend)

    def _boxes(self, u: Tensor, height: Tensor, width: Tensor) -> Tensor:
        if self.scale is not None:
            return sampling.random_boxes(u, height, width, self.scale, self.ratio)
        if self.size is None:
            start = torch.zeros_like(height)
            return torch.stack([start, start, height, width], 1)
        side = (torch.minimum(height, width).double() * self.centre).round().long().clamp_min(1)
        return torch.stack([(height - side) // 2, (width - side) // 2, side, side], 1)

    def _jitter(self, u: Tensor) -> tuple[Tensor, Tensor]:
        chosen = u[:, sampling.JITTER] < self.jitter_p
        ranges = [(max(0.0, 1.0 - b), 1.0 + b, 1.0) for b in (self.brightness, self.contrast, self.saturation)]
        ranges.append((-self.hue, self.hue, 0.0))
        columns = [
            torch.where(chosen, v * (high - low) + low, neutral)
            for v, (low, high, neutral) in zip(u[:, sampling.FACTORS].unbind(1), ranges, strict=True)
        ]
        return torch.stack(columns, 1), u[:, sampling.ORDER].argsort(1)

    def _sigma(self, u: Tensor) -> Tensor:
        low, high = self.blur_sigma
        return torch.where(u[:, sampling.BLUR] < self.blur_p, u[:, sampling.SIGMA] * (high - low) + low, 0.0)

    def _solarize(self, u: Tensor) -> Tensor:
        chosen = u[:, sampling.SOLARIZE] < self.solarize_p
        return torch.where(chosen, self.solarize_threshold, torch.full_like(u[:, 0], 2.0))


def two_views(
    first: Recipe,
    second: Recipe,
    images: Tensor,
    generator: torch.Generator,
    *,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Two random views of each image, drawn one after the other; see :meth:`Recipe.__call__`."""
    return first(images, generator, backend=backend), second(images, generator, backend=backend)


def check_generator(generator: torch.Generator) -> None:
    """Refuse anything but a generator: views come from an explicit one, so that they can be repeated."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}")


def check_sizes(sizes: Tensor, images: Tensor) -> None:
    """Refuse sizes that are not those of pictures inside the images; values are looked at on the CPU only.

    Raises:
        ValueError: another shape or device; sizes that are not positive or exceed the images.
    """
    if sizes.shape != (len(images), 2) or sizes.device != images.device:
        raise ValueError(
            f"sizes must have shape {(len(images), 2)} on {images.device}, got {tuple(sizes.shape)} on {sizes.device}"
        )
    if sizes.device.type == "cpu" and ((sizes < 1) | (sizes > torch.tensor(images.shape[2:]))).any():
        raise ValueError(
            f"sizes must lie in 1 to {tuple(images.shape[2:])}, got {sizes.min().item()} to {sizes.max().item()}"
        )


def _sides(name: str, side: int | Tensor, n: int, device: torch.device) -> Tensor:
    """Heights or widths (n,) int64."""
    if isinstance(side, Tensor):
        if side.shape != (n,):
            raise ValueError(f"{name} must be one number or {n}, got shape {tuple(side.shape)}")
        return side.long()
    whole(name, side, least=1)
    return torch.full((n,), side, device=device)


def whole(name: str, value: int, *, least: int) -> None:
    """Refuse anything but an integer from ``least`` on."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def between(name: str, value: float, low: float, high: float) -> None:
    """Refuse anything but a number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not low <= value <= high or math.isinf(value):
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {value}")


def rising(name: str, pair: tuple[float, float], most: float) -> tuple[float, float]:
    """A range of positive numbers up to ``most``, smaller one first."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name} must be a pair of numbers, got {pair!r}")
    for value in pair:
        between(name, value, 0.0, most)
    if not 0 < pair[0] <= pair[1]:
        raise ValueError(f"{name} must be (low, high) with 0 < low <= high, got {tuple(pair)}")
    return (float(pair[0]), float(pair[1]))
