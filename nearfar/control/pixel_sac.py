"""Soft actor-critic from pixels: what CURL, DrQ and other auxiliary losses are added to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nearfar.control.data import Sampling
from nearfar.control.method import Agent, kept_parts, known
from nearfar.control.networks import Actor, Policy, mlp
from nearfar.control.spaces import Spaces
from nearfar.losses import entropy_price, soft_actor, soft_target, value_regression
from nearfar.parts import MomentumEncoder
from nearfar.training import Optimization, Update


@dataclass(frozen=True)
class SAC:
    """The settings of soft actor-critic that CURL and DrQ release.

    Args:
        stack: frames of an observation.
        filters: of every convolution.
        features: width of the representation.
        hidden: width of the two layers of actor and critics.
        discount: in (0, 1).
        tau: how fast the target critics follow, in (0, 1].
        encoder_tau: how fast their encoder follows, in (0, 1].
        alpha: first price of certainty, above 0.
        every: actor, price and targets move in every so many steps.
        rate: of all networks; ``alpha_rate`` of the price.
        tanh: bound the representation.
    """

    stack: int = 3
    filters: int = 32
    features: int = 50
    hidden: int = 1024
    discount: float = 0.99
    tau: float = 0.01
    encoder_tau: float = 0.05
    alpha: float = 0.1
    every: int = 2
    rate: float = 1e-3
    alpha_rate: float = 1e-4
    tanh: bool = False

    def adam(self) -> Optimization:
        return Optimization("adam", lr=self.rate, weight_decay=0.0, schedule="constant")


class PixelEncoder(nn.Module):
    """Four convolutions of 3 by 3, the first with stride 2, then a linear layer and layer norm (SAC-AE's encoder).

    Args:
        shape: (C, H, W) of stacked frames, a side at least 16.
        filters: of every convolution.
        features: width of the representation.
        tanh: end in a tanh.
    """

    def __init__(self, shape: tuple[int, ...], filters: int = 32, features: int = 50, *, tanh: bool = False) -> None:
        super().__init__()
        if min(shape[1:]) < 16:
            raise ValueError(f"pictures must be at least 16 pixels wide, got {shape}")
        layers: list[nn.Module] = [nn.Conv2d(shape[0], filters, 3, stride=2), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Conv2d(filters, filters, 3), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        # Only the middle of a kernel begins different from 0, as an orthogonal matrix.
        for layer in self.convolutions:
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
                nn.init.orthogonal_(layer.weight.data[:, :, 1, 1], math.sqrt(2))
        with torch.no_grad():
            self.flat = self.convolutions(torch.zeros(1, *shape)).flatten(1).shape[1]
        self.head = representation(self.flat, features, tanh)

    def maps(self, pixels: Tensor) -> Tensor:
        """(B, F) what the convolutions see. Channels last is twice as fast on processors."""
        shown = (pixels.float() / 255).contiguous(memory_format=torch.channels_last)
        return self.convolutions(shown).flatten(1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.maps(pixels))


def representation(flat: int, features: int, tanh: bool) -> nn.Sequential:
    """Linear layer and layer norm on what convolutions see."""
    found = nn.Sequential(nn.Linear(flat, features), nn.LayerNorm(features), *([nn.Tanh()] if tanh else []))
    nn.init.orthogonal_(found[0].weight)  # type: ignore[arg-type]
    return found


class Critics(nn.Module):
    """Two values of a representation and an action, (B, 2)."""

    def __init__(self, features: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.both = nn.ModuleList(mlp(features + actions, (hidden, hidden), 1) for _ in range(2))

    def forward(self, seen: Tensor, actions: Tensor) -> Tensor:
        joint = torch.cat([seen, actions], 1)
        return torch.cat([value(joint) for value in self.both], 1)


class PixelSAC(Agent):
    """Soft actor-critic whose actor shares the critics' convolutions without moving them. Subclasses write
    :meth:`~nearfar.training.Method.views`, which gives ``(observations, next observations)`` as the networks see them
    in ``shown`` and ``shown_next``, and may add updates.

    Args:
        spaces: what is observed and done.
        sac: settings.
        side: of the pictures that the networks see.
        who: the slug, for messages.
    """

    verbs = ("acts",)
    encoder: PixelEncoder
    made: Tensor

    def __init__(self, spaces: Spaces | None, sac: SAC, *, who: str, side: int | None = None) -> None:
        super().__init__(sac.adam())
        self.spaces, self.sac = known(spaces), sac
        self.spaces.needs_pixels(who)
        channels, height, width = self.spaces.observation
        if height != width:
            raise ValueError(f"{who} takes square pictures, got {height} by {width}")
        self.side = side or height
        self.sampling = Sampling(stack=sac.stack)
        shape = (channels * sac.stack, self.side, self.side)
        self.encoder = PixelEncoder(shape, sac.filters, sac.features, tanh=sac.tanh)
        self.critics = Critics(sac.features, self.spaces.actions, sac.hidden)
        self.summary = representation(self.encoder.flat, sac.features, sac.tanh)
        self.actor = Actor(sac.features, self.spaces, hidden=(sac.hidden, sac.hidden), deviation="bounded")
        self.slow_encoder = MomentumEncoder(self.encoder, 1 - sac.encoder_tau, "constant")
        self.slow_critics = MomentumEncoder(self.critics, 1 - sac.tau, "constant")
        self.log_alpha = nn.Parameter(torch.tensor(math.log(sac.alpha)))
        n = self.spaces.actions
        self.entropy = 0.3 * math.log(n) if self.spaces.discrete else -float(n)
        self.register_buffer("made", torch.zeros((), dtype=torch.long))

    def updates(self) -> list[Update]:
        adam, every = self.sac.adam(), self.sac.every
        price = Optimization("adam", lr=self.sac.alpha_rate, weight_decay=0.0, schedule="constant", beta1=0.5)
        seeing = [*self.encoder.parameters(), *self.critics.parameters()]
        acting = [*self.summary.parameters(), *self.actor.parameters()]
        return [
            Update("critic", seeing, self.critic_loss, adam),
            Update("actor", acting, self.actor_loss, adam, every=every),
            Update("alpha", [self.log_alpha], self.alpha_loss, price, every=every),
        ]

    def critic_loss(self, views) -> Tensor:  # type: ignore[no-untyped-def]
        batch = views.batch
        with torch.no_grad():
            values, logs = [], []
            for pixels in views.shown_next:
                actions, log_prob = self.seen(pixels).draw()
                values.append(self.slow_critics(self.slow_encoder(pixels), actions))
                logs.append(log_prob)
        alpha = self.log_alpha.detach().exp()
        target = soft_target(
            batch.rewards,
            batch.continues,
            torch.stack(values),
            torch.stack(logs),
            alpha=alpha,
            discount=self.sac.discount,
        )
        found = torch.stack([self.critics(self.encoder(pixels), batch.actions) for pixels in views.shown])
        return value_regression(found, target)

    def actor_loss(self, views) -> Tensor:  # type: ignore[no-untyped-def]
        pixels = views.shown[0]
        actions, log_prob = self.seen(pixels).draw()
        with torch.no_grad():
            seen = self.encoder(pixels)
        return soft_actor(self.critics(seen, actions), log_prob, alpha=self.log_alpha.exp())

    def alpha_loss(self, views) -> Tensor:  # type: ignore[no-untyped-def]
        with torch.no_grad():
            _, log_prob = self.seen(views.shown[0]).draw()
        return entropy_price(self.log_alpha, log_prob, target=self.entropy)

    def seen(self, pixels: Tensor) -> Policy:
        """The policy for pictures as the networks see them."""
        with torch.no_grad():
            maps = self.encoder.maps(pixels)
        return self.actor(self.summary(maps))

    def shown(self, pixels: Tensor) -> Tensor:
        """Pictures as they are acted on."""
        return pixels

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.seen(self.shown(observations))

    def encode(self, batch: Tensor) -> Tensor:
        return self.encoder(self.shown(batch))

    def after_step(self) -> None:
        self.made += 1
        if int(self.made) % self.sac.every == 0:
            self.slow_critics.update(self.critics)
            self.slow_encoder.update(self.encoder)

    def kept(self) -> nn.Module:
        return kept_parts({"encoder": self.encoder, "summary": self.summary, "actor": self.actor})
