"""From maps with holes back to pixels: SparK's densifying layers and its light UNet decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nearfar.parts.sparse_conv import Seen


class Densify(nn.Module):
    """Fills what was not seen: batch norm over seen positions, a learnable token elsewhere, then a projection.

    Args:
        width: channels of the map.
        out_width: channels the decoder takes at this level.
        kernel: of the projection; the released code has 1 at the coarsest level and 3 at the others.

    Shape: ``(N, width, H, W) -> (N, out_width, H, W)``.
    """

    def __init__(self, width: int, out_width: int, kernel: int = 3) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, width, 1, 1), std=0.02, a=-0.02, b=0.02))
        # The released code leaves the projection out where it has nothing to change.
        same = kernel == 1 and width == out_width
        self.project = nn.Identity() if same else nn.Conv2d(width, out_width, kernel, padding=kernel // 2)

    def forward(self, maps: Tensor, seen: Seen) -> Tensor:
        mask = seen.at(maps.shape[2], maps.shape[3])[0].unsqueeze(1)
        normed = seen.through(self.norm, maps)
        return self.project(torch.where(mask, normed, self.token.to(normed.dtype)))


class UNetDecoder(nn.Module):
    """Blocks that double the resolution, each given the encoder's map of its resolution, until pixels are reached.

    A block is a transposed convolution (kernel 4, stride 2) and two 3x3 convolutions with batch norm, ReLU6 between
    them; widths halve from block to block, a 1x1 convolution makes the colours. SparK's ``LightDecoder``
    (``pretrain/decoder.py``), initial weights included.

    Args:
        stride: pixels per cell of the coarsest map, a power of two.
        width: channels at the coarsest map, at least ``stride`` (768 for stride 32 in the released code).
        colours: channels of the picture.

    Attributes:
        widths: channels that are taken at each level, coarsest first.

    Shape: maps (N, width / 2^i, h 2^i, w 2^i), coarsest first, as many or fewer than blocks, to
    (N, colours, h * stride, w * stride).
    """

    def __init__(self, stride: int, width: int = 768, colours: int = 3) -> None:
        super().__init__()
        if stride < 2 or stride & (stride - 1):
            raise ValueError(f"stride must be a power of two, at least 2, got {stride}")
        if width < stride:
            raise ValueError(f"width halves {int(math.log2(stride))} times and must be at least {stride}, got {width}")
        widths = [width // 2**level for level in range(int(math.log2(stride)) + 1)]
        self.widths = tuple(widths[:-1])
        self.blocks = nn.ModuleList(_block(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.colours = nn.Conv2d(widths[-1], colours, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
            elif isinstance(module, nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        if not 0 < len(maps) <= len(self.blocks):
            raise ValueError(f"expected 1 to {len(self.blocks)} maps, coarsest first, got {len(maps)}")
        x = torch.zeros_like(maps[0])
        for level, block in enumerate(self.blocks):
            x = block(x + maps[level] if level < len(maps) else x)
        return self.colours(x)


def _block(width: int, out_width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(width, width, 4, 2, 1),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU6(inplace=True),
        nn.Conv2d(width, out_width, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_width),
    )
