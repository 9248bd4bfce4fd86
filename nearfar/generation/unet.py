"""Small convolutional U-nets that are told the step of a diffusion, and a code, in every block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.parts.diffusion import sines


@dataclass(frozen=True)
class Widths:
    """The size of a U-net.

    Args:
        base: channels at full resolution, a multiple of 4.
        times: at each level, halved in resolution from level to level, the channels as multiples of ``base``.
        blocks: residual blocks at each level on the way down, and one more on the way up.
        attention: levels, from 0, whose blocks look over the whole map; the middle always does.
        dropout: in every block, in [0, 1).
    """

    base: int = 64
    times: tuple[int, ...] = (1, 2, 2, 2)
    blocks: int = 2
    attention: tuple[int, ...] = (2,)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        bounds = {
            "base": (self.base >= 4 and self.base % 4 == 0, "a multiple of 4"),
            "times": (len(self.times) > 0 and all(time >= 1 for time in self.times), "whole numbers of at least 1"),
            "blocks": (self.blocks >= 1, "at least 1"),
            "attention": (all(0 <= each < len(self.times) for each in self.attention), "levels that there are"),
            "dropout": (0 <= self.dropout < 1, "in [0, 1)"),
        }
        for name, (fine, accepted) in bounds.items():
            if not fine:
                raise ValueError(f"{name} must be {accepted}, got {getattr(self, name)}")

    def fit(self, side: int) -> None:
        """Raises:
        ValueError: a side that cannot be halved as often as there are levels.
        """
        if side % 2 ** (len(self.times) - 1):
            raise ValueError(
                f"pictures of side {side} cannot be halved {len(self.times) - 1} times; give another size, or fewer "
                "levels (times)"
            )


def norm(channels: int) -> nn.GroupNorm:
    """Group norm with 32 groups, or, below 64 channels, with groups of 4."""
    return nn.GroupNorm(math.gcd(32, channels if channels >= 64 else max(channels // 4, 1)), channels)


class Attention(nn.Module):
    """Every place of a map looks at all others, beside what it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.mix = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.xavier_uniform_(self.out.weight, gain=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.flatten(2).transpose(1, 2).unsqueeze(1) for part in self.mix(self.norm(x)).chunk(3, 1))
        seen = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2)
        return x + self.out(seen.unflatten(2, x.shape[2:]))


class Block(nn.Module):
    """Two convolutions beside a shortcut; after the second norm the map is scaled and shifted by what is told.

    Args:
        told: widths of what it is told, one after another; for each, :math:`h \\leftarrow (1 + s) h + b`.
    """

    def __init__(self, taken: int, given: int, told: tuple[int, ...], *, attention: bool, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(norm(taken), nn.SiLU(), nn.Conv2d(taken, given, 3, padding=1))
        self.norm = norm(given)
        self.told = nn.ModuleList(nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * given)) for width in told)
        self.second = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(given, given, 3, padding=1))
        self.short = nn.Identity() if taken == given else nn.Conv2d(taken, given, 1)
        self.look = Attention(given) if attention else nn.Identity()

    def forward(self, x: Tensor, *told: Tensor) -> Tensor:
        h = self.norm(self.first(x))
        for layer, what in zip(self.told, told, strict=True):
            scale, shift = layer(what)[:, :, None, None].chunk(2, 1)
            h = (1 + scale) * h + shift
        return self.look(self.short(x) + self.second(h))


class UNet(nn.Module):
    """Down to a small map and up again, with a map of every level carried over.

    Args:
        taken, given: channels of what goes in and comes out.
        widths: its size.
        told: widths of what every block is told.
        start: gain of the last layer's initial weights; next to nothing for a denoiser.
    """

    def __init__(
        self, taken: int, given: int, widths: Widths, told: tuple[int, ...] = (), *, start: float = 1e-5
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(taken, widths.base, 3, padding=1)
        channels, carried = widths.base, [widths.base]
        self.down = nn.ModuleList()
        levels = [widths.base * times for times in widths.times]

        def block(a: int, b: int, level: int) -> Block:
            return Block(a, b, told, attention=level in widths.attention, dropout=widths.dropout)

        for level, width in enumerate(levels):
            for _ in range(widths.blocks):
                self.down.append(block(channels, width, level))
                channels = width
                carried.append(channels)
            if level < len(levels) - 1:
                self.down.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                carried.append(channels)
        self.middle = nn.ModuleList(
            Block(channels, channels, told, attention=look, dropout=widths.dropout) for look in (True, False)
        )
        self.up = nn.ModuleList()
        for level in reversed(range(len(levels))):
            for _ in range(widths.blocks + 1):
                self.up.append(block(channels + carried.pop(), levels[level], level))
                channels = levels[level]
            if level:
                self.up.append(nn.Conv2d(channels, channels, 3, padding=1))
        self.last = nn.Sequential(norm(channels), nn.SiLU(), nn.Conv2d(channels, given, 3, padding=1))
        nn.init.xavier_uniform_(self.last[-1].weight, gain=start)  # type: ignore[arg-type]

    def forward(self, x: Tensor, *told: Tensor) -> Tensor:
        h = self.first(x)
        carried = [h]
        for layer in self.down:
            h = layer(h, *told) if isinstance(layer, Block) else layer(h)
            carried.append(h)
        for layer in self.middle:
            h = layer(h, *told)
        for layer in self.up:
            if isinstance(layer, Block):
                h = layer(torch.cat([h, carried.pop()], 1), *told)
            else:
                h = layer(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.last(h)


class Denoiser(nn.Module):
    """A U-net that predicts the noise of a noised picture, told the step and, where ``code`` is above 0, a code.

    Args:
        channels: of the pictures.
        widths: its size.
        code: width of the code.
    """

    def __init__(self, channels: int, widths: Widths, code: int = 0) -> None:
        super().__init__()
        width = 4 * widths.base
        self.base = widths.base
        self.step = nn.Sequential(nn.Linear(widths.base, width), nn.SiLU(), nn.Linear(width, width))
        self.code = nn.Linear(code, width) if code else None
        self.net = UNet(channels, channels, widths, (width, width) if code else (width,))

    def forward(self, x: Tensor, t: Tensor, code: Tensor | None = None) -> Tensor:
        told = [self.step(sines(t, self.base))]
        if self.code is not None:
            told.append(self.code(code))
        return self.net(x, *told)
