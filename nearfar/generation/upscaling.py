"""Making pictures larger: the networks, the degradation that they undo, sharp and blurred versions of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import for_examples

TILE, MARGIN = 192, 16
BLUR_SIDES = (3, 5, 7, 9, 11)
"""Sides of the Gaussian kernels of blurred versions."""


class Upscaler(nn.Module):
    """EDSR's and RCAN's body: residual blocks at the small size, then sub-pixel convolutions to the large one.

    What they add is added to a bicubic enlargement (ours: training begins with a picture and not with grey).

    Args:
        scale: 2, 3, 4 or 8.
        width: of all maps.
        blocks: residual blocks of each group.
        groups: residual groups, each with a convolution and a shortcut; RCAN has 10, EDSR one.
        attention: whether each block weighs its channels by their means (RCAN; reduction 16).

    Shape: (N, 3, H, W) in [0, 1] to (N, 3, scale H, scale W), not clamped.
    """

    def __init__(
        self, scale: int = 4, width: int = 64, blocks: int = 16, groups: int = 1, attention: bool = False
    ) -> None:
        super().__init__()
        if scale not in (2, 3, 4, 8):
            raise ValueError(f"scale must be 2, 3, 4 or 8, got {scale}")
        if min(width, blocks, groups) < 1:
            raise ValueError(f"width, blocks and groups must be at least 1, got {width}, {blocks} and {groups}")
        self.scale = scale
        self.head = nn.Conv2d(3, width, 3, padding=1)
        inside = [_Residual([_Block(width, attention) for _ in range(blocks)], width) for _ in range(groups)]
        self.body: nn.Module = inside[0] if groups == 1 else _Residual(inside, width)
        steps = [scale] if scale == 3 else [2] * int(math.log2(scale))
        grow: list[nn.Module] = []
        for step in steps:
            grow += [nn.Conv2d(width, width * step**2, 3, padding=1), nn.PixelShuffle(step)]
        self.tail = nn.Sequential(*grow, nn.Conv2d(width, 3, 3, padding=1))
        nn.init.zeros_(self.tail[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.tail[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return enlarge(x, self.scale) + self.tail(self.body(self.head(x - 0.5)))


class _Residual(nn.Sequential):
    """Parts in a row, a convolution, and a way around them."""

    def __init__(self, parts: Sequence[nn.Module], width: int) -> None:
        super().__init__(*parts, nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return x + super().forward(x)


class _Block(nn.Module):
    def __init__(self, width: int, attention: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1)
        )
        least = max(width // 16, 1)
        self.weigh = (
            nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, least, 1), nn.ReLU(), nn.Conv2d(least, width, 1), nn.Sigmoid()
            )
            if attention
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        found = self.layers(x)
        return x + (found if self.weigh is None else found * self.weigh(found))


NETWORKS = {
    "edsr": {"width": 64, "blocks": 16},
    "edsr-small": {"width": 24, "blocks": 3},
    "rcan": {"width": 64, "blocks": 20, "groups": 10, "attention": True},
}
"""Sizes by name."""


def upscaler(network: str | nn.Module, scale: int) -> nn.Module:
    """A network by its name in :data:`NETWORKS`, or any module from (N, 3, H, W) to (N, 3, scale H, scale W)."""
    if isinstance(network, nn.Module):
        return network
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, or a module, got {network!r}")
    return Upscaler(scale, **NETWORKS[network])  # type: ignore[arg-type]


def quantised(images: Tensor) -> Tensor:
    """Pictures in [0, 1] at 256 levels."""
    return (images.clamp(0, 1) * 255).round() / 255


def as_pixels(image: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] as (H, W, 3) uint8."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def enlarge(images: Tensor, scale: int) -> Tensor:
    """Bicubic, ``scale`` times as large."""
    return F.interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False)


def degrade(images: Tensor, scale: int) -> Tensor:
    """Pictures (N, 3, H, W) as they are seen small: bicubic with a wider kernel against aliasing, at 256 levels.

    Sides that ``scale`` does not divide lose their last pixels first.
    """
    height, width = (side // scale * scale for side in images.shape[2:])
    if min(height, width) < scale:
        raise ValueError(f"a picture of {tuple(images.shape[2:])} pixels is smaller than the scale of {scale}")
    small = (height // scale, width // scale)
    return quantised(F.interpolate(images[..., :height, :width], size=small, mode="bicubic", antialias=True))


def sharpened(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture sharpened by a factor of U(0.5, 3) (PIL's and kornia's ``sharpness``), at 256 levels.

    The factor mixes a smoothed picture (0), the picture itself (1), and beyond; the rim stays as it is.
    """
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5.0
    smooth = images.clone()
    inside = F.conv2d(images, (kernel / 13).expand(images.shape[1], 1, 3, 3), groups=images.shape[1])
    smooth[..., 1:-1, 1:-1] = inside
    drawn = for_examples(lambda n: torch.rand(n, generator=generator, device=images.device), len(images))
    factor = (0.5 + 2.5 * drawn).view(-1, 1, 1, 1)
    return quantised(smooth + factor * (images - smooth))


def blurred(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture blurred by a Gaussian with a side of :data:`BLUR_SIDES` and a sigma of U(0.1, 2) for each axis, at
    256 levels."""
    n, channels = images.shape[:2]
    drawn = for_examples(lambda count: torch.rand(count, 4, generator=generator, device=images.device), n)
    sides = torch.tensor(BLUR_SIDES, device=images.device)[(drawn[:, :2] * len(BLUR_SIDES)).long()]
    sigmas = 0.1 + 1.9 * drawn[:, 2:]
    half = max(BLUR_SIDES) // 2
    places = torch.arange(-half, half + 1, device=images.device)
    kernels = torch.exp(-(places**2) / (2 * sigmas[..., None] ** 2)) * (places.abs() <= (sides[..., None] - 1) // 2)
    kernels = (kernels / kernels.sum(2, keepdim=True)).repeat_interleave(channels, 0)
    flat = F.pad(images, (half,) * 4, mode="reflect").flatten(0, 1)[None]
    flat = F.conv2d(flat, kernels[:, 0, None, :, None], groups=n * channels)
    flat = F.conv2d(flat, kernels[:, 1, None, None, :], groups=n * channels)
    return quantised(flat[0].unflatten(0, (n, channels)))


def upscale(network: nn.Module, image: Tensor, scale: int, *, tile: int = TILE, margin: int = MARGIN) -> Tensor:
    """One picture (3, H, W) in [0, 1] enlarged, in tiles with margins, so that memory does not grow with it.

    Inside of a network's field of view from a seam the pixels may differ a little from those of the whole picture.

    Returns:
        (3, scale H, scale W) in [0, 1].
    """
    height, width = image.shape[1:]
    out = torch.empty(3, height * scale, width * scale)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y, x = max(top - margin, 0), max(left - margin, 0)
            part = image[:, y : bottom + margin, x : right + margin]
            made = network(part[None])[0].clamp(0, 1).cpu()
            inside = made[:, (top - y) * scale : (bottom - y) * scale, (left - x) * scale : (right - x) * scale]
            out[:, top * scale : bottom * scale, left * scale : right * scale] = inside
    return out
