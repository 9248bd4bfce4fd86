"""Networks of agents: towers of linear layers, the separable critic, and policies over numbers and choices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.control.spaces import Spaces
from nearfar.losses.control.reaching import cosine_codes


def mlp(
    wide: int, hidden: Sequence[int], out: int, *, layer_norm: bool = False, final_init: float | None = None
) -> nn.Sequential:
    """Linear layers with ReLU between them.

    Args:
        wide: width of the input.
        hidden: widths between.
        out: width of the output.
        layer_norm: normalise before each ReLU.
        final_init: the last layer's weights begin uniform within this of 0, its biases at 0.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(wide, width), *([nn.LayerNorm(width)] if layer_norm else []), nn.ReLU()]
        wide = width
    last = nn.Linear(wide, out)
    if final_init is not None:
        nn.init.uniform_(last.weight, -final_init, final_init)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class Pixels(nn.Module):
    """Pixels (B, C, H, W) in [0, 255] through the convolutions of the Atari agents: 32, 64, 64 filters.

    Args:
        shape: (C, H, W), a side at least 12.
        norm: normalise each map over channels and places.

    Attributes:
        width: of the flat output.
    """

    def __init__(self, shape: tuple[int, ...], *, norm: bool = False) -> None:
        super().__init__()
        if min(shape[1:]) < 12:
            raise ValueError(f"pictures must be at least 12 pixels wide, got {shape}")
        layers: list[nn.Module] = []
        channels = shape[0]
        large = min(shape[1:]) >= 36
        for width, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)) if large else ((32, 4, 2), (64, 3, 1)):
            layers += [nn.Conv2d(channels, width, kernel, stride, padding=kernel // 4)]
            layers += [*([nn.GroupNorm(1, width)] if norm else []), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            self.width = self.body(torch.zeros(1, *shape)).shape[1]

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(pixels.float() / 255)


def torso(spaces: Spaces, *, norm: bool = False) -> tuple[nn.Module, int]:
    """What observations pass first, and how wide they are then: convolutions for pixels, nothing for numbers."""
    if not spaces.pixels:
        return nn.Identity(), spaces.observation[0]
    found = Pixels(spaces.observation, norm=norm)
    return found, found.width


class SeparableCritic(nn.Module):
    """Scores of all pairs of state-actions and goals by one product: ``phi(s, a) . psi(g)``.

    Args:
        state: width of what stands before the action.
        action: width of an action.
        goal: width of a goal.
        hidden: widths of both towers.
        features: width d of the codes.
        critics: how many critics n, each with its own towers.
        normalize: codes of length 1.
        temperature: divides ``phi``.
        layer_norm, final_init: see :func:`mlp`.

    Shape: ``(B, state), (B, action), (M, goal) -> (B, M, n)``.
    """

    def __init__(
        self,
        state: int,
        action: int,
        goal: int,
        *,
        hidden: Sequence[int] = (256, 256),
        features: int = 64,
        critics: int = 1,
        normalize: bool = False,
        temperature: float = 1.0,
        layer_norm: bool = False,
        final_init: float | None = None,
    ) -> None:
        super().__init__()
        self.normalize, self.temperature = normalize, temperature

        def towers(width: int) -> nn.ModuleList:
            return nn.ModuleList(
                mlp(width, hidden, features, layer_norm=layer_norm, final_init=final_init) for _ in range(critics)
            )

        self.doing, self.reaching = towers(state + action), towers(goal)

    def phi(self, state: Tensor, action: Tensor) -> Tensor:
        """Codes (B, d, n) of what is done."""
        joint = torch.cat([state, action], 1)
        codes = torch.stack([tower(joint) for tower in self.doing], -1)
        return cosine_codes(codes, self.temperature) if self.normalize else codes / self.temperature

    def psi(self, goal: Tensor) -> Tensor:
        """Codes (M, d, n) of where it may lead."""
        codes = torch.stack([tower(goal) for tower in self.reaching], -1)
        return cosine_codes(codes) if self.normalize else codes

    def forward(self, state: Tensor, action: Tensor, goal: Tensor) -> Tensor:
        return pair_scores(self.phi(state, action), self.psi(goal))


def pair_scores(phi: Tensor, psi: Tensor) -> Tensor:
    """(B, M, n) products of codes (B, d, n) and (M, d, n)."""
    return torch.einsum("bdn,mdn->bmn", phi, psi)


class Policy:
    """A distribution over actions (B, A); everything is (B, A) or (B,)."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Actions that let gradients through."""
        raise NotImplementedError(f"{type(self).__name__} does not define sample(generator)")

    def log_prob(self, actions: Tensor) -> Tensor:
        """(B,) of given actions."""
        raise NotImplementedError(f"{type(self).__name__} does not define log_prob(actions)")

    @property
    def best(self) -> Tensor:
        """The actions in the middle of the distribution, or the likeliest choices."""
        raise NotImplementedError(f"{type(self).__name__} does not define best")

    def entropy(self, actions: Tensor) -> Tensor:
        """(B,) how open the action is, in nats, estimated from actions that were drawn with gradients."""
        return -self.log_prob(actions)

    def draw(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Actions with gradients, and their log-probabilities."""
        actions = self.sample(generator)
        return actions, self.log_prob(actions)


class TanhNormal(Policy):
    """``tanh`` of a normal distribution: actions in [-1, 1]. Given actions are cut to 0.9999 before their inverse."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean, self.deviation = mean, deviation

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return torch.tanh(self._before(generator))

    def _before(self, generator: torch.Generator | None) -> Tensor:
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.deviation * noise

    def _density(self, before: Tensor) -> Tensor:
        normal = -0.5 * ((before - self.mean) / self.deviation).square() - self.deviation.log()
        slope = 2 * (math.log(2) - before - F.softplus(-2 * before))
        return (normal - 0.5 * math.log(2 * math.pi) - slope).sum(-1)

    def draw(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        before = self._before(generator)
        return torch.tanh(before), self._density(before)

    def log_prob(self, actions: Tensor) -> Tensor:
        return self._density(torch.atanh(actions.clamp(-0.9999, 0.9999)))

    @property
    def best(self) -> Tensor:
        return torch.tanh(self.mean)


class Choices(Policy):
    """One-hot choices. A sample is one-hot, and its gradient that of the probabilities."""

    def __init__(self, logits: Tensor) -> None:
        self.logs = logits.log_softmax(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        shares = self.logs.exp()
        drawn = torch.multinomial(shares.detach(), 1, generator=generator)
        hot = torch.zeros_like(shares).scatter_(-1, drawn, 1.0)
        return hot + shares - shares.detach()

    def log_prob(self, actions: Tensor) -> Tensor:
        return (self.logs * actions).sum(-1)

    def entropy(self, actions: Tensor) -> Tensor:
        return -(self.logs.exp() * self.logs).sum(-1)

    @property
    def best(self) -> Tensor:
        return F.one_hot(self.logs.argmax(-1), self.logs.shape[-1]).to(self.logs.dtype)


class Actor(nn.Module):
    """A policy for a state and, where there is one, a goal.

    Args:
        wide: width of both together.
        spaces: what actions are.
        hidden: widths between.
        deviation: ``learned`` (softplus, at least ``least``), ``bounded`` (its logarithm in [-10, 2] through a tanh, as
            in pixel SAC), or a fixed number.
        least: the least learned deviation, above 0.
        layer_norm: see :func:`mlp`.
    """

    def __init__(
        self,
        wide: int,
        spaces: Spaces,
        *,
        hidden: Sequence[int] = (256, 256),
        deviation: str | float = "learned",
        least: float = 1e-6,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.discrete, self.deviation, self.least = spaces.discrete, deviation, least
        width = spaces.actions * (1 if spaces.discrete or not isinstance(deviation, str) else 2)
        self.body = mlp(wide, hidden, width, layer_norm=layer_norm)

    def forward(self, *parts: Tensor) -> Policy:
        out = self.body(torch.cat(parts, 1))
        if self.discrete:
            return Choices(out)
        if not isinstance(self.deviation, str):
            return TanhNormal(out, torch.full_like(out, self.deviation))
        mean, raw = out.chunk(2, 1)
        if self.deviation == "bounded":
            return TanhNormal(mean, (-10 + 6 * (torch.tanh(raw) + 1)).exp())
        return TanhNormal(mean, F.softplus(raw) + self.least)
