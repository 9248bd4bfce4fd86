"""Residual networks whose convolutions go over time as over space: R3D."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["R3D"]


class _Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv3d(inside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm3d(outside),
            nn.ReLU(inplace=True),
            nn.Conv3d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm3d(outside),
        )
        self.around: nn.Module = nn.Identity()
        if stride > 1 or inside != outside:
            self.around = nn.Sequential(nn.Conv3d(inside, outside, 1, stride, bias=False), nn.BatchNorm3d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.inner(x) + self.around(x))


class R3D(nn.Module):
    """A 3-D residual network (Tran et al., 2018, arXiv 1711.11248), the mean over time and space at its end.

    With a width of 64 and one block a stage it is that of the released code (``models/r3d.py``), with two R3D-18.

    Args:
        width: channels of the first stage, which double three times, at least 1.
        depth: residual blocks of each stage.

    Shape: ``(N, 3, T, H, W) -> (N, 8 * width)``.
    """

    def __init__(self, width: int = 64, depth: tuple[int, int, int, int] = (1, 1, 1, 1)) -> None:
        super().__init__()
        if min(width, *depth) < 1:
            raise ValueError(f"width and depth must be at least 1, got {width} and {depth}")
        self.features = 8 * width
        layers: list[nn.Module] = [
            nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
        for stage, blocks in enumerate(depth):
            for block in range(blocks):
                layers.append(_Residual(channels, width * 2**stage, 2 if stage and not block else 1))
                channels = width * 2**stage
        self.layers = nn.Sequential(*layers)

    def forward(self, clips: Tensor) -> Tensor:
        return self.layers(clips).mean((2, 3, 4))
