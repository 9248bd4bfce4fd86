r"""Continuous diffusion: a schedule of noise, and steps from noise to a signal and back, for signals of any shape.

With :math:`\bar\alpha_t` the share of the signal's variance that is left at step t (Ho et al. 2020; Song et al. 2021):

.. math:: x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t} \epsilon

A network predicts :math:`\epsilon` from :math:`x_t` and t. Step 0 is the first noised level; -1 stands for the signal
itself. The numbers agree with diffusers' ``DDPMScheduler`` and ``DDIMScheduler``, whose schedule
:meth:`Diffusion.of` takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Predict = Callable[[Tensor, Tensor], Tensor]
"""(x_t, t (N,) int64) to the noise in it."""
Guide = Callable[[Tensor, int, Tensor, Tensor], Tensor]
"""(x_t, t, predicted noise, predicted signal) to what is added to the mean of the next step."""


class Diffusion(nn.Module):
    """A schedule of noise.

    Args:
        steps: T, number of noised levels, at least 2.
        first, last: betas of the first and last level, which lie on a line.

    Attributes:
        signal: (T,) float64, :math:`\\bar\\alpha_t`.
    """

    signal: Tensor

    def __init__(self, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> None:
        super().__init__()
        if steps < 2:
            raise ValueError(f"a diffusion needs at least 2 steps, got {steps}")
        if not 0 < first <= last < 1:
            raise ValueError(f"betas must rise from above 0 to below 1, got {first} to {last}")
        betas = torch.linspace(first, last, steps, dtype=torch.float64)
        self.register_buffer("signal", (1 - betas).cumprod(0), persistent=False)

    @classmethod
    def of(cls, scheduler: Any) -> Diffusion:
        """The schedule of one of diffusers' schedulers.

        Raises:
            ValueError: it has none, or its network predicts something else than noise.
        """
        kind = scheduler.config.get("prediction_type", "epsilon")
        if kind != "epsilon":
            raise ValueError(f"the network must predict noise (epsilon); this scheduler says it predicts {kind}")
        found = getattr(scheduler, "alphas_cumprod", None)
        if found is None:
            raise ValueError(f"a {type(scheduler).__name__} has no schedule of a denoising diffusion")
        made = cls(len(found))
        made.signal = found.double()
        return made

    @classmethod
    def cosine(cls, steps: int, offset: float = 0.008, largest: float = 0.999) -> Diffusion:
        """A schedule whose signal falls along a squared cosine (Nichol and Dhariwal, 2021), betas up to ``largest``."""
        made = cls(steps)
        at = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        signal = torch.cos((at + offset) / (1 + offset) * math.pi / 2).square()
        made.signal = (1 - (1 - signal[1:] / signal[:-1]).clamp(0, largest)).cumprod(0)
        return made

    def __len__(self) -> int:
        return len(self.signal)

    def at(self, t: Tensor | int, like: Tensor) -> Tensor:
        """The signal's share at steps t (N,), or at one for all, shaped to multiply ``like``; 1 at -1."""
        t = torch.as_tensor(t, device=self.signal.device).reshape(-1)
        found = torch.where(t < 0, torch.ones_like(self.signal[:1]), self.signal[t.clamp_min(0)])
        return found.to(like).reshape(-1, *[1] * (like.ndim - 1))

    def noised(self, x0: Tensor, t: Tensor | int, noise: Tensor) -> Tensor:
        """x_t of a signal and standard normal noise of its shape."""
        kept = self.at(t, x0)
        return kept.sqrt() * x0 + (1 - kept).sqrt() * noise

    def clean(self, x_t: Tensor, t: Tensor | int, noise: Tensor) -> Tensor:
        """The signal that a prediction of the noise implies."""
        kept = self.at(t, x_t)
        return (x_t - (1 - kept).sqrt() * noise) / kept.sqrt()

    def loss(self, predict: Predict, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """(N,): the mean squared error of each example's predicted noise."""
        return (predict(self.noised(x0, t, noise), t) - noise).square().flatten(1).mean(1)

    def times(self, steps: int | None = None) -> list[int]:
        """``steps`` levels spread evenly from the last to the first, falling; all of them when not given."""
        total = len(self)
        if steps is not None and not 1 <= steps <= total:
            raise ValueError(f"steps must be between 1 and the {total} of the schedule, got {steps}")
        if steps == 1:
            return [total - 1]
        return torch.linspace(total - 1, 0, steps or total, dtype=torch.float64).round().long().tolist()

    def ddim(self, x_t: Tensor, t: int, earlier: int, noise: Tensor, clip: float | None = None) -> Tensor:
        """The deterministic step from level t to another, earlier or later one; signals are held within ``clip``."""
        x0 = self.clean(x_t, t, noise)
        if clip is not None:
            x0 = x0.clamp(-clip, clip)
            kept = self.at(t, x_t)
            noise = (x_t - kept.sqrt() * x0) / (1 - kept).sqrt()
        kept = self.at(earlier, x_t)
        return kept.sqrt() * x0 + (1 - kept).sqrt() * noise

    def ddpm(self, x_t: Tensor, t: int, earlier: int, noise: Tensor, clip: float | None = None) -> tuple[Tensor, float]:
        """The mean and the variance of the random step from level t to an earlier one (Ho et al., equation 7)."""
        x0 = self.clean(x_t, t, noise)
        return self.before(x_t, t, earlier, x0 if clip is None else x0.clamp(-clip, clip))

    def before(self, x_t: Tensor, t: int, earlier: int, x0: Tensor) -> tuple[Tensor, float]:
        """The mean and the variance of an earlier level, of x_t and the signal that both come from."""
        kept, before = self.at(t, x_t), self.at(earlier, x_t)
        alpha = kept / before
        mean = (before.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - before) * x_t) / (1 - kept)
        return mean, float(((1 - before) / (1 - kept) * (1 - alpha)).flatten()[0])

    def sample(
        self,
        predict: Predict,
        x: Tensor,
        *,
        steps: int | None = None,
        clip: float | None = None,
        start: int | None = None,
    ) -> Tensor:
        """From noise (N, ...) to signals, by deterministic steps.

        Args:
            predict: the network.
            x: standard normal, or a noised signal where ``start`` says at which level it is.
            steps: of all levels, so many; the quality against the time.
            clip: largest value of the signal.
            start: the level of ``x``; levels above it are left out.
        """
        times = [t for t in self.times(steps) if start is None or t <= start]
        for t, earlier in zip(times, [*times[1:], -1], strict=True):
            x = self.ddim(x, t, earlier, predict(x, _all(t, x)), clip)
        return x

    def invert(self, predict: Predict, x0: Tensor, *, steps: int | None = None, end: int | None = None) -> Tensor:
        """From signals to the noise that :meth:`sample` with the same steps would make them of, nearly.

        Each step predicts the noise at the level that it leads to from the signal of the level before, which is exact
        in the limit of many steps.

        Args:
            end: the level to stop at; the last otherwise.
        """
        times = [t for t in reversed(self.times(steps)) if end is None or t <= end]
        x = x0
        for t, later in zip([-1, *times[:-1]], times, strict=True):
            x = self.ddim(x, t, later, predict(x, _all(later, x)))
        return x


def _all(t: int, like: Tensor) -> Tensor:
    return torch.full((len(like),), t, dtype=torch.int64, device=like.device)


def sines(t: Tensor, width: int) -> Tensor:
    """(N,) steps as (N, width) sines and cosines of falling frequency (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, width, 2, device=t.device) * (-math.log(10_000.0) / width))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
