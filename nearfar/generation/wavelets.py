"""High frequencies of pictures, and a critic that sees nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["post", "pre"]


def haar_bands(images: Tensor) -> Tensor:
    """The details of a one-level orthonormal Haar transform: of each block of 2 x 2 pixels three signed sums, halved.

    Args:
        images: (N, C, H, W), sides at least 2; an odd side is continued by its last pixel but one.

    Returns:
        (N, 3 C, ceil(H / 2), ceil(W / 2)): upper row less lower one of all colours, left less right, diagonals.
    """
    if images.ndim != 4 or min(images.shape[2:]) < 2:
        raise ValueError(f"images must be (N, C, H, W) with sides of at least 2, got {tuple(images.shape)}")
    height, width = images.shape[2:]
    if height % 2 or width % 2:
        images = F.pad(images, (0, width % 2, 0, height % 2), mode="reflect")
    a, b = images[..., ::2, ::2], images[..., ::2, 1::2]
    c, d = images[..., 1::2, ::2], images[..., 1::2, 1::2]
    return torch.cat([a + b - c - d, a - b + c - d, a - b - c + d], 1) / 2


class WaveletCritic(nn.Module):
    """PCL-SR's discriminator (``src/loss/discriminator.py``): convolutions on :func:`haar_bands`, scores of patches.

    A 3x3 convolution to ``width``, then seven that halve the map or double the width in turns, each with batch norm
    and a leaky ReLU (0.2); the last map, averaged to 4 x 4, is scored by a 1x1 convolution.

    Args:
        width: of the first block, 64 in the release.
        activation: ``post`` gives features after the leaky ReLU, which is what the release contrasts: its option says
            "before", but the ReLU works in place. ``pre`` gives them before.

    Shape: pictures (N, 3, H, W) in [0, 1] to 8 maps, the first of half the size.
    """

    def __init__(self, width: int = 64, activation: Activation = "post") -> None:
        super().__init__()
        if width < 1 or activation not in ("post", "pre"):
            raise ValueError(f"width must be at least 1 and activation 'post' or 'pre', got {width} and {activation!r}")
        blocks, before, after = [_block(9, width, 1)], width, width
        for number in range(7):
            after = 2 * before if number % 2 else before
            blocks.append(_block(before, after, 1 if number % 2 else 2))
            before = after
        self.blocks, self.activation = nn.ModuleList(blocks), activation
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Conv2d(before, 1, 1))

    def features(self, bands: Tensor, last: int | None = None) -> list[Tensor]:
        """The maps of the first ``last + 1`` blocks, all when not given, of bands (N, 9, h, w)."""
        found = []
        for block in self.blocks[: len(self.blocks) if last is None else last + 1]:
            normed = block(bands)
            bands = F.leaky_relu(normed, 0.2)
            found.append(bands if self.activation == "post" else normed)
        return found

    def stacked(self, pictures: Sequence[Tensor], layers: Sequence[int]) -> list[Tensor]:
        """For each of some blocks the maps (P, N, C, h, w) of P versions of pictures (N, 3, H, W)."""
        found = [self.features(haar_bands(each), max(layers)) for each in pictures]
        return [torch.stack([maps[layer] for maps in found]) for layer in layers]

    def score(self, images: Tensor) -> Tensor:
        """(16 N,) scores of the patches of pictures, higher is more real."""
        last = self.features(haar_bands(images))[-1]
        last = F.leaky_relu(last, 0.2) if self.activation == "pre" else last
        return self.classifier(last).flatten()

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.features(haar_bands(images))


def _block(width_in: int, width_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False), nn.BatchNorm2d(width_out))
