"""From images and drawn numbers to views; nothing here is random."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from nearfar.vision.views import torch_backend
from nearfar.vision.views.draws import Draws, check_draws

Backend = Literal["auto", "torch", "numba"]


def apply(
    images: Tensor, draws: Draws, size: int | tuple[int, int] | None = None, *, backend: Backend = "auto"
) -> Tensor:
    """Crop, mirror, resize, colour jitter, grayscale, blur and solarise each image as drawn.

    - Resizing is bilinear with the triangle filter widened to one output pixel where the crop shrinks, as
      PIL and torchvision (``antialias=True``) do, on the crop alone.
    - Brightness multiplies, contrast blends with the mean luma of the image, saturation with the luma of the
      pixel (0.299, 0.587, 0.114), hue turns the hue of HSV; clipped to [0, 1] after each.
    - The blur is Gaussian with :func:`blur_radius`, and mirrors the view about its border pixels.

    All arithmetic is float32. torchvision does the same on float tensors (equal within 1e-3). On PIL images it
    rounds to 8 bits after every operation and turns the hue in steps of 1/256: about 1 of 255 gray levels on
    average, and tens in single pixels that are dark or nearly gray.

    Args:
        images: (N, 3, H, W) uint8; planar (contiguous) and channels-last memory are read as they are.
        draws: for these N images, on their device.
        size: side, or height and width, of the views; the images' own when not given.
        backend: ``numba`` is one compiled pass per image on the CPU, ``torch`` works on every device; ``auto``
            takes numba for images on the CPU. They agree to about 1e-4. On the CPU numba is 20 to 30 times
            faster, after 5 s of compilation in the first call ever made on a machine and half a second in the
            first of a process.

    Returns:
        (N, 3, height, width) float32 in [0, 1], contiguous in channels-last memory format.

    Raises:
        TypeError, ValueError: images that are not uint8 RGB; draws that do not fit; ``numba`` for images
            that are not on the CPU.
    """
    check_images(images)
    check_draws(draws, images)
    if backend not in get_args(Backend):
        raise ValueError(f"backend must be one of {', '.join(map(repr, get_args(Backend)))}, got {backend!r}")
    height, width = images.shape[2:]
    if isinstance(size, int):
        height = width = size
    elif size is not None:
        height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be positive, got {size}")
    on_cpu = images.device.type == "cpu"
    if backend == "torch" or (backend == "auto" and not on_cpu):
        return torch_backend.render(images, draws, height, width, blur_radius(height, width))
    if not on_cpu:
        raise ValueError(f"backend 'numba' works on the CPU and the images are on {images.device}; use 'torch'")
    from nearfar.vision.views import numba_backend

    return numba_backend.render(images, draws, height, width, blur_radius(height, width))


def blur_radius(height: int, width: int) -> int:
    """Radius r of the blur's kernel of 2 r + 1 pixels: half of a tenth of the shorter side.

    11 for 224 pixels, as SimCLR (google-research/simclr, data_util.py) and BYOL take it, and 1 for 32. Below
    20 pixels it is 0 and there is no blur.
    """
    return min(height, width) // 10 // 2


def check_images(images: Tensor) -> None:
    """Refuse anything but (N, 3, H, W) uint8.

    Raises:
        TypeError: not a tensor, or not uint8.
        ValueError: another shape.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch.Tensor, got {type(images).__name__}")
    if images.dtype != torch.uint8:
        raise TypeError(
            f"images must be uint8 in [0, 255], got {images.dtype}; for floats in [0, 1] call "
            "(images * 255).round().to(torch.uint8)"
        )
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise ValueError(
            f"images must have shape (N, 3, H, W) with at least one pixel, got {tuple(images.shape)}; repeat "
            "gray images with images.expand(-1, 3, -1, -1), move last-axis colours with "
            "images.permute(0, 3, 1, 2)"
        )
