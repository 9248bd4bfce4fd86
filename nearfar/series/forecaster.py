"""AutoCon's network: a long branch on dilated convolutions and a short one that is linear."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.series.encoders import DilatedBlocks

__all__ = ["AutoConNet", "moving_mean"]


def moving_mean(x: Tensor, window: int) -> Tensor:
    """The mean of ``window`` steps around each of (B, T, C), the first and last values repeated beyond the ends."""
    half = (window - 1) // 2
    return F.avg_pool1d(F.pad(x.transpose(1, 2), (half, window - 1 - half), mode="replicate"), window, 1).transpose(
        1, 2
    )


class AutoConNet(nn.Module):
    """Forecasts of (B, I, C) windows that begin at their last value (``models/AutoConNet.py``).

    The long branch embeds values, calendar and position, represents every step by dilated convolutions, maps the steps
    of the past to those of the future and smooths them before and after a linear map to the channels, at each of the
    scales. The short branch is one linear map from past to future.

    Args:
        channels: C.
        window: I.
        horizon: O.
        clock: features of the calendar at a step; 0 for none.
        hidden: width of the blocks.
        out_features: width of the representation.
        depth: number of hidden blocks.
        scales: windows of the moving means, less one.
        dropout: of embedding and representation.
        centre, spread: of the channels, kept for whoever standardises with them; 0 and 1 when not given.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        channels: int,
        window: int,
        horizon: int,
        *,
        clock: int,
        hidden: int,
        out_features: int,
        depth: int,
        scales: Sequence[int],
        dropout: float,
        centre: Sequence[float] | None = None,
        spread: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(centre or [0.0] * channels))
        self.register_buffer("spread", torch.tensor(spread or [1.0] * channels))
        self.value = nn.Conv1d(channels, hidden, 3, padding=1, padding_mode="circular", bias=False)
        self.calendar = nn.Linear(clock, hidden, bias=False) if clock else None
        self.register_buffer("place", sinusoids(window, hidden), persistent=False)
        self.blocks = DilatedBlocks(hidden, [hidden] * depth + [out_features])
        self.dropout = nn.Dropout(dropout)
        self.length = nn.Linear(window, horizon)
        self.heads = nn.ModuleList(nn.Linear(out_features, channels) for _ in scales)
        self.short = nn.Linear(window, horizon)
        self.scales = tuple(scales)

    def represent(self, x: Tensor, clock: Tensor) -> Tensor:
        """The representation (B, I, D) of windows that have lost their last value."""
        embedded = self.value(x.transpose(1, 2)).transpose(1, 2) + self.place
        if self.calendar is not None:
            embedded = embedded + self.calendar(clock)
        return self.dropout(self.blocks(self.dropout(embedded).transpose(1, 2))).transpose(1, 2)

    def forward(self, past: Tensor, clock: Tensor) -> tuple[Tensor, Tensor]:
        """The forecast (B, O, C) and the representation (B, I, D) of windows (B, I, C)."""
        last = past[:, -1:].detach()
        x = past - last
        steps = self.represent(x, clock)
        ahead = self.length(F.gelu(steps.transpose(1, 2))).transpose(1, 2)
        told = self.short(x.transpose(1, 2)).transpose(1, 2)
        for scale, head in zip(self.scales, self.heads, strict=True):
            told = told + moving_mean(head(F.gelu(moving_mean(ahead, scale + 1))), scale + 1)
        return told + last, steps


def sinusoids(steps: int, width: int) -> Tensor:
    """(steps, width) sines and cosines of the position, in turns."""
    rate = torch.exp(-math.log(10000.0) * torch.arange(0, width, 2) / width)
    angle = torch.arange(steps)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :width]
