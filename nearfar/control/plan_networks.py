"""Networks over plans: a U-net along time that takes the noise away, and a value of what is planned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nearfar.parts.diffusion import sines


def convolved(channels: int, out: int) -> nn.Sequential:
    """A convolution over five steps, group norm, Mish."""
    return nn.Sequential(
        nn.Conv1d(channels, out, 5, padding=2), nn.GroupNorm(math.gcd(8, max(out // 2, 1)), out), nn.Mish()
    )


class StepCode(nn.Module):
    """The step (N,) of a diffusion as (N, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.body = nn.Sequential(nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))

    def forward(self, t: Tensor) -> Tensor:
        return self.body(sines(t, self.width))


class PlanBlock(nn.Module):
    """Two convolutions along time beside what came in; the step is added between them."""

    def __init__(self, channels: int, out: int, step: int) -> None:
        super().__init__()
        self.first, self.second = convolved(channels, out), convolved(out, out)
        self.step = nn.Sequential(nn.Mish(), nn.Linear(step, out))
        self.beside = nn.Conv1d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        return self.second(self.first(x) + self.step(step)[..., None]) + self.beside(x)


class Level(nn.Module):
    """Two blocks at one resolution, and what changes it."""

    def __init__(self, channels: int, out: int, step: int, change: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.change = PlanBlock(channels, out, step), PlanBlock(out, out, step), change

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        return self.second(self.first(x, step), step)


class PlanUNet(nn.Module):
    """Diffuser's U-net (Janner et al., 2022, arXiv 2205.09991) over plans (N, H, C) at steps (N,) of a diffusion.

    Args:
        channels: numbers of a row of the plan.
        horizon: H, a number that can be halved at every level but the last.
        width: channels at the first level, an even number.
        times: of each level, its channels as multiples of ``width``.
    """

    def __init__(self, channels: int, horizon: int, width: int = 32, times: tuple[int, ...] = (1, 2, 4, 8)) -> None:
        super().__init__()
        if horizon % 2 ** (len(times) - 1):
            raise ValueError(
                f"a horizon of {horizon} cannot be halved {len(times) - 1} times; give another, or fewer times"
            )
        self.step = StepCode(width)
        sizes = [channels, *(width * time for time in times)]
        last = len(times) - 1
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, (before, size) in enumerate(zip(sizes, sizes[1:], strict=False)):
            half = nn.Conv1d(size, size, 3, 2, 1) if level < last else nn.Identity()
            self.down.append(Level(before, size, width, half))
        self.middle = nn.ModuleList(PlanBlock(sizes[-1], sizes[-1], width) for _ in range(2))
        for before, size in zip(sizes[1:-1][::-1], sizes[2:][::-1], strict=True):
            double = nn.ConvTranspose1d(before, before, 4, 2, 1)
            self.up.append(Level(2 * size, before, width, double))
        self.out = nn.Sequential(convolved(sizes[1], sizes[1]), nn.Conv1d(sizes[1], channels, 1))

    def forward(self, plans: Tensor, t: Tensor) -> Tensor:
        x, step, beside = plans.transpose(1, 2), self.step(t), []
        for level in self.down:
            x = level(x, step)
            beside.append(x)
            x = level.change(x)  # type: ignore[operator]
        for block in self.middle:
            x = block(x, step)
        for level in self.up:
            x = level.change(level(torch.cat([x, beside.pop()], 1), step))  # type: ignore[operator]
        return self.out(x).transpose(1, 2)


class PlanValue(nn.Module):
    """What noised plans (N, H, C) at steps (N,) will give, (N,); the guide of Diffuser.

    Args:
        channels, horizon, width, times: as for :class:`PlanUNet`.
    """

    def __init__(self, channels: int, horizon: int, width: int = 32, times: tuple[int, ...] = (1, 2, 4, 8)) -> None:
        super().__init__()
        self.step = StepCode(width)
        sizes = [channels, *(width * time for time in times)]
        self.levels = nn.ModuleList()
        for before, size in zip(sizes, sizes[1:], strict=False):
            self.levels.append(Level(before, size, width, nn.Conv1d(size, size, 3, 2, 1)))
        wide, left = sizes[-1], math.ceil(horizon / 2 ** len(times))
        self.narrowing, self.halves = nn.ModuleList(), nn.ModuleList()
        for part in (max(wide // 2, 1), max(wide // 4, 1)):
            self.narrowing.append(PlanBlock(wide, part, width))
            self.halves.append(nn.Conv1d(part, part, 3, 2, 1))
            wide, left = part, math.ceil(left / 2)
        flat = wide * left
        self.out = nn.Sequential(nn.Linear(flat + width, max(flat // 2, 1)), nn.Mish(), nn.Linear(max(flat // 2, 1), 1))

    def forward(self, plans: Tensor, t: Tensor) -> Tensor:
        x, step = plans.transpose(1, 2), self.step(t)
        for level in self.levels:
            x = level.change(level(x, step))  # type: ignore[operator]
        for block, half in zip(self.narrowing, self.halves, strict=True):
            x = half(block(x, step))
        return self.out(torch.cat([x.flatten(1), step], 1)).squeeze(1)
