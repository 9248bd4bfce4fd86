"""From series to a representation of every step: dilated convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DilatedBlocks", "SeriesEncoder", "standardised"]


class SameConv(nn.Conv1d):
    """A dilated convolution that keeps the length.

    Where the dilation reaches beyond the series, the outer taps see nothing but padding, and the product with the
    centre tap alone gives the same values.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, dilation: int) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2 * dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        # A graph takes the first way: it gives the same, and the length stays free.
        if torch.compiler.is_compiling() or x.shape[2] > self.dilation[0]:
            return super().forward(x)
        centre = self.kernel_size[0] // 2
        return F.conv1d(x, self.weight[:, :, centre : centre + 1], self.bias)


class DilatedBlocks(nn.Module):
    r"""Residual blocks :math:`x \mapsto \mathrm{conv}(g(\mathrm{conv}(g(x)))) + \mathrm{skip}(x)` with g the GELU.

    Block i has dilation :math:`2^i`; the skip is a 1x1 convolution where widths differ and in the last block.

    Args:
        in_channels: width of the input.
        widths: of the blocks.
        kernel: taps of the convolutions, odd.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], kernel: int = 3) -> None:
        super().__init__()
        before = [in_channels, *widths[:-1]]
        self.first = nn.ModuleList(
            SameConv(a, b, kernel, 2**i) for i, (a, b) in enumerate(zip(before, widths, strict=True))
        )
        self.second = nn.ModuleList(SameConv(b, b, kernel, 2**i) for i, b in enumerate(widths))
        last = len(widths) - 1
        self.skip = nn.ModuleList(
            nn.Conv1d(a, b, 1) if a != b or i == last else nn.Identity()
            for i, (a, b) in enumerate(zip(before, widths, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to (B, D, T)."""
        for first, second, skip in zip(self.first, self.second, self.skip, strict=True):
            x = second(F.gelu(first(F.gelu(x)))) + skip(x)
        return x


class SeriesEncoder(nn.Module):
    """TS2Vec's encoder (zhihanyue/ts2vec, ``models/encoder.py``): a linear map of every step, a mask on what it gives,
    dilated convolutions, dropout.

    A step with a gap in any channel is masked as a whole.

    Args:
        in_channels: numbers at a step.
        hidden: width of the blocks.
        out_features: width of the representation.
        depth: number of blocks before the last one.
        dropout: on the representation, in training.
        centre, spread: of the channels; what comes in is standardised with them. 0 and 1 when not given.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        in_channels: int,
        *,
        hidden: int = 64,
        out_features: int = 320,
        depth: int = 10,
        dropout: float = 0.1,
        centre: Sequence[float] | None = None,
        spread: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(centre or [0.0] * in_channels))
        self.register_buffer("spread", torch.tensor(spread or [1.0] * in_channels))
        self.embed = nn.Linear(in_channels, hidden)
        self.blocks = DilatedBlocks(hidden, [hidden] * depth + [out_features])
        self.dropout = nn.Dropout(dropout)
        self.out_features = out_features

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """The representation (B, T, D) of values (B, T, C); where ``mask`` (B, T) is false a step is hidden."""
        seen = ~values.isnan().any(2)
        x = self.embed(standardised(values, self.centre, self.spread).masked_fill(~seen[:, :, None], 0.0))
        shown = seen if mask is None else seen & mask
        x = x * shown[:, :, None]
        return self.dropout(self.blocks(x.transpose(1, 2))).transpose(1, 2)


def standardised(values: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """Values (..., C) minus the centre, by the spread."""
    if values.shape[-1] != len(centre):
        raise ValueError(f"the series have {values.shape[-1]} channels; this system was made for {len(centre)}")
    return (values - centre) / spread
