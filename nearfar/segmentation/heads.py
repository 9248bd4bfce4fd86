"""Decoders: feature maps at several depths in, logits at the finest map's size out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Decoder = Literal["segformer", "daformer", "daformer-conv"]


class SegFormerHead(nn.Module):
    """SegFormer's decoder (Xie et al., 2021): every map to one width, up to the finest, concatenated, fused.

    Shape: maps at several strides to logits (N, classes, h, w) at the finest map's size.
    """

    def __init__(self, widths: Sequence[int], classes: int, *, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths)
        self.fuse = nn.Conv2d(width * len(widths), width, 1, bias=False)
        self.after = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Dropout2d(dropout))
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        # A 1x1 convolution of enlarged and joined maps is the sum of its parts, each taken before the enlargement:
        # the same numbers at a fraction of the work.
        size = maps[0].shape[2:]
        parts = [
            F.interpolate(F.conv2d(project(m), weight), size=size, mode="bilinear", align_corners=False)
            for project, m, weight in zip(self.project, maps, self.fuse.weight.chunk(len(maps), 1), strict=True)
        ]
        return self.classify(self.after(torch.stack(parts).sum(0)))


class DAFormerHead(nn.Module):
    """DAFormer's context-aware fusion (Hoyer et al., 2022): every map to one width, up to the finest, concatenated,
    then looked at with holes of several sizes at once.

    The fusion is atrous spatial pyramid pooling with depthwise separable convolutions: a 1x1 convolution beside
    separable 3x3 ones of dilations 6, 12 and 18, without global pooling, joined by a 3x3 convolution. Dilations
    are in pixels of the finest map, which has stride 4 in a Mix Transformer.

    Args:
        widths: widths of the maps.
        classes: number of classes.
        width: width of the embeddings and of the fusion; 256 in the paper.
        dilations: of the fusion; a dilation of 1 is the 1x1 convolution. Empty for a 1x1 convolution alone, as
            HRDA's attention head has it.
        dropout: share of channels dropped before the classifier.

    Shape: maps at several strides to logits (N, classes, h, w) at the finest map's size.
    """

    def __init__(
        self,
        widths: Sequence[int],
        classes: int,
        *,
        width: int = 256,
        dilations: Sequence[int] = (1, 6, 12, 18),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths)
        joined = width * len(widths)
        self.branches = nn.ModuleList(
            nn.Sequential(*normed(nn.Conv2d(joined, width, 1, bias=False)))
            if dilation == 1
            else nn.Sequential(
                *normed(nn.Conv2d(joined, joined, 3, padding=dilation, dilation=dilation, groups=joined, bias=False)),
                *normed(nn.Conv2d(joined, width, 1, bias=False)),
            )
            for dilation in dilations
        )
        if self.branches:
            fused = nn.Conv2d(width * len(self.branches), width, 3, padding=1, bias=False)
        else:
            fused = nn.Conv2d(joined, width, 1, bias=False)
        self.fuse = nn.Sequential(*normed(fused), nn.Dropout2d(dropout))
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = join(self.project, maps)
        if self.branches:
            x = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.classify(self.fuse(x))


def join(projections: nn.ModuleList, maps: Sequence[Tensor]) -> Tensor:
    """Every map through its projection, at the size of the finest, concatenated."""
    size = maps[0].shape[2:]
    return torch.cat(
        [
            F.interpolate(project(m), size=size, mode="bilinear", align_corners=False)
            for project, m in zip(projections, maps, strict=True)
        ],
        dim=1,
    )


def normed(convolution: nn.Conv2d) -> tuple[nn.Module, ...]:
    """A convolution with batch norm and ReLU."""
    return convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)


def decoder_head(name: Decoder, widths: Sequence[int], classes: int, *, width: int) -> nn.Module:
    """A decoder by name: ``segformer``, ``daformer``, or ``daformer-conv`` (DAFormer's without the pyramid)."""
    if name == "segformer":
        return SegFormerHead(widths, classes, width=width)
    if name == "daformer":
        return DAFormerHead(widths, classes, width=width)
    if name == "daformer-conv":
        return DAFormerHead(widths, classes, width=width, dilations=())
    raise ValueError(f"decoder must be one of {', '.join(map(repr, get_args(Decoder)))}, got {name!r}")
