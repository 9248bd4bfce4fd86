"""Plans that a diffusion draws: what they are pulled to, and how they are guided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nearfar.control.data.episodes import Episodes
from nearfar.control.spaces import one_hot
from nearfar.losses import return_contrast
from nearfar.parts.diffusion import Diffusion


@dataclass(frozen=True)
class Contrast:
    """What plans are pulled to and pushed from.

    Args:
        weight: of the contrast, at least 0; at 0 it is Diffuser. 0.001 to 0.1 by task in the release.
        upper: share of all states, those of highest value, that are positives, in (0, 1].
        lower: share of all states, those of lowest value, that are negatives, in [0, 1); none at 0.
        each: sequences of positives, and of negatives, for each plan.
        width: of the codes that are compared.
        temperature: divides cosines, above 0.
        include_positive: positives stand in the denominator as well.
        discount: of the values by which states are sorted, in (0, 1].
    """

    weight: float = 0.5
    upper: float = 0.65
    lower: float = 0.2
    each: int = 32
    width: int = 256
    temperature: float = 0.1
    include_positive: bool = False
    discount: float = 0.99

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"contrast.weight must be at least 0, got {self.weight}")
        if not 0 < self.upper <= 1 or not 0 <= self.lower < 1:
            raise ValueError(
                f"contrast.upper must be in (0, 1] and contrast.lower in [0, 1), got {self.upper} and {self.lower}"
            )

    def extremes(self, episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
        """The observations of the states of highest value and of those of lowest, at least one of either."""
        states = episodes.observations[np.argsort(-episodes.values(self.discount), kind="stable")]
        high, low = (max(int(share * len(states)), 1) for share in (self.upper, self.lower))
        return states[:high], states[-low:]

    def loss(self, plans: Tensor, high: Tensor, low: Tensor) -> Tensor:
        """The weighted contrast of the codes of plans (B, H, D) with those drawn for each, (B, E, H, D)."""
        return self.weight * return_contrast(
            plans,
            high,
            low if self.lower else None,
            temperature=self.temperature,
            include_positive=self.include_positive,
        )


def plan_rows(episodes: Episodes, choices: int) -> np.ndarray:
    """(R, A + S): what was done, one-hot of so many ``choices`` where these are not 0, beside what was observed, for
    every step of every episode but its last."""
    steps = np.ones(len(episodes.rewards), bool)
    steps[episodes.starts + episodes.lengths - 1] = False
    at = np.flatnonzero(steps)
    done = episodes.actions[at]
    return np.concatenate([one_hot(done, choices) if choices else done, episodes.observations[at]], 1)


@dataclass(frozen=True)
class Planning:
    """How an action is found.

    Args:
        plans: that are drawn for each observation, of which the one of highest value begins.
        climbs: steps along the value's gradient before each step of the diffusion; none at 0.
        scale: of such a step, which the diffusion's variance multiplies.
        last: levels below it are not guided.
    """

    plans: int = 64
    climbs: int = 2
    scale: float = 0.1
    last: int = 2


def guided(
    diffusion: Diffusion,
    denoise: Callable[[Tensor, Tensor], Tensor],
    value: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    begun: Callable[[Tensor], Tensor],
    how: Planning,
    generator: torch.Generator,
) -> Tensor:
    """Plans (N, H, C) from noise, up the slope of their value.

    Args:
        diffusion: the schedule.
        denoise: plans without noise, of noised ones at levels (N,).
        value: (N,) what noised plans will give.
        x: standard normal, (N, H, C).
        begun: puts the known beginning into plans.
        how: the steps along the slope.
        generator: draws the noise of every level.
    """
    x = begun(x)
    for level in reversed(range(len(diffusion))):
        t = torch.full((len(x),), level, device=x.device)
        _, variance = diffusion.before(x, level, level - 1, x)
        for _ in range(how.climbs if level >= how.last else 0):
            with torch.enable_grad():
                climbing = x.detach().requires_grad_()
                (slope,) = torch.autograd.grad(value(climbing, t).sum(), climbing)
            x = begun(x + how.scale * variance * slope)
        mean, _ = diffusion.before(x, level, level - 1, denoise(x, t))
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        x = begun(mean + variance**0.5 * noise)
    return x
