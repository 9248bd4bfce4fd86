"""A recurrent model of the world, part certain and part drawn (Hafner et al., 2019, arXiv 1811.04551)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """The size of the model.

    Args:
        depth: channels of the first convolution.
        certain: width of the recurrent network.
        drawn: numbers that are drawn.
        hidden: width of the layers.
        code: width of the space in which states and observations meet.
        free: nats of divergence that cost nothing, on average over the batch. Where little is left open by what is
            done, less than the paper's 3 is needed, or nothing has to be expected rightly.
    """

    depth: int = 32
    certain: int = 200
    drawn: int = 30
    hidden: int = 200
    code: int = 200
    free: float = 3.0


class State(NamedTuple):
    """Where the model thinks the world is.

    Attributes:
        mean, deviation: (N, S) of what is drawn.
        drawn: (N, S).
        certain: (N, D) what the recurrent network carries.
    """

    mean: Tensor
    deviation: Tensor
    drawn: Tensor
    certain: Tensor

    @property
    def features(self) -> Tensor:
        """(N, S + D) what others read."""
        return torch.cat([self.drawn, self.certain], -1)

    def detached(self) -> State:
        return State(*(part.detach() for part in self))


class PictureCodes(nn.Module):
    """Pixels (N, C, H, W) in [0, 255], moved to [-0.5, 0.5], through up to four convolutions of 4 by 4 with stride 2.

    Args:
        shape: (C, H, W), a side of at least 6.
        depth: channels of the first, doubled by each further one.

    Attributes:
        width: of the flat output; 1024 for 64 pixels a side.
    """

    def __init__(self, shape: tuple[int, ...], depth: int = 32) -> None:
        super().__init__()
        if min(shape[1:]) < 6:
            raise ValueError(f"pictures must be at least 6 pixels wide, got {shape}")
        layers: list[nn.Module] = []
        channels, side = shape[0], min(shape[1:])
        while side >= 6 and len(layers) < 8:
            layers += [nn.Conv2d(channels, depth, 4, 2), nn.ReLU()]
            channels, depth, side = depth, 2 * depth, (side - 4) // 2 + 1
        self.body = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            self.width = self.body(torch.zeros(1, *shape)).shape[1]

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(pixels.float() / 255 - 0.5)


class RecurrentModel(nn.Module):
    """What follows from what is done, and what is corrected by what is seen.

    Args:
        actions: numbers of an action.
        seen: width of what is seen.
        world: widths.
    """

    def __init__(self, actions: int, seen: int, world: World) -> None:
        super().__init__()
        certain, drawn, hidden = world.certain, world.drawn, world.hidden
        self.drawn, self.certain = drawn, certain
        self.done = nn.Sequential(nn.Linear(drawn + actions, hidden), nn.ELU())
        self.cell = nn.GRUCell(hidden, certain)
        self.expected = nn.Sequential(nn.Linear(certain, hidden), nn.ELU(), nn.Linear(hidden, 2 * drawn))
        wide = drawn + certain + seen
        self.corrected = nn.Sequential(nn.Linear(wide, hidden), nn.ELU(), nn.Linear(hidden, 2 * drawn))
        self.actions = actions

    def nothing(self, count: int) -> State:
        """The state before anything was seen."""
        like = self.cell.weight_hh
        none = like.new_zeros(count, self.drawn)
        return State(none, none, none, like.new_zeros(count, self.certain))

    def _state(self, numbers: Tensor, certain: Tensor, generator: torch.Generator | None) -> State:
        mean, raw = numbers.chunk(2, -1)
        deviation = F.softplus(raw) + 0.1
        if generator is None:
            return State(mean, deviation, mean, certain)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return State(mean, deviation, mean + deviation * noise, certain)

    def imagine(self, state: State, actions: Tensor, generator: torch.Generator | None) -> State:
        """What actions (N, A) are expected to lead to; the middle of it without a generator."""
        certain = self.cell(self.done(torch.cat([state.drawn, actions], 1)), state.certain)
        return self._state(self.expected(certain), certain, generator)

    def correct(self, expected: State, seen: Tensor, generator: torch.Generator | None) -> State:
        """What is known once (N, E) has been seen where ``expected`` was expected."""
        numbers = self.corrected(torch.cat([expected.features, seen], 1))
        return self._state(numbers, expected.certain, generator)

    def first(self, seen: Tensor, generator: torch.Generator | None) -> State:
        """What is known of first observations (N, E)."""
        nothing = self.nothing(len(seen))
        expected = self.imagine(nothing, seen.new_zeros(len(seen), self.actions), generator)
        return self.correct(expected, seen, generator)

    def follow(self, seen: Tensor, actions: Tensor, generator: torch.Generator | None) -> tuple[State, State]:
        """Along sequences of T + 1 observations (B, T + 1, E) and T actions (B, T, A): what was expected after each
        action and what was known then, each as one state of T * B rows, step by step."""
        known = self.first(seen[:, 0], generator)
        found: list[tuple[State, State]] = []
        for step in range(actions.shape[1]):
            expected = self.imagine(known, actions[:, step], generator)
            known = self.correct(expected, seen[:, step + 1], generator)
            found.append((expected, known))
        return joined([expected for expected, _ in found]), joined([known for _, known in found])

    def costs(self, state: State, plans: Tensor, discount: float, cost: Callable[[State], Tensor]) -> Tensor:
        """(N, P) the discounted costs of the states that plans (P, H, A) are expected to lead to from each of N states.

        Args:
            cost: of P states for each of the N, one after another; see :func:`repeated`.
        """
        count = len(state.drawn)
        state = State(*(repeated(part, plans) for part in state))
        total = state.drawn.new_zeros(len(state.drawn))
        for step, actions in enumerate(plans.unbind(1)):
            state = self.imagine(state, actions.repeat(count, 1), None)
            total = total + discount**step * cost(state)
        return total.reshape(count, -1)


def every_plan(choices: int, steps: int, device: torch.device) -> Tensor:
    """(choices ** steps, steps, choices) all sequences of choices, as one-hot rows."""
    each = torch.eye(choices, device=device)
    return torch.stack([each[list(plan)] for plan in product(range(choices), repeat=steps)])


def repeated(rows: Tensor, plans: Tensor) -> Tensor:
    """Each row (N, ...) as many times as there are plans, (N * P, ...)."""
    return rows.repeat_interleave(len(plans), 0)


def joined(states: list[State]) -> State:
    """States behind each other."""
    return State(*(torch.cat(part) for part in zip(*states, strict=True)))


def code(wide: int, hidden: int, out: int) -> nn.Sequential:
    """Into the space in which states and observations meet: ELU between, numbers in [-1, 1]."""
    return nn.Sequential(nn.Linear(wide, hidden), nn.ELU(), nn.Linear(hidden, out), nn.Tanh())


def divergence(known: State, expected: State) -> Tensor:
    """(N,) the Kullback-Leibler divergence of what is known from what was expected, in nats."""
    ratio = known.deviation / expected.deviation
    far = (known.mean - expected.mean) / expected.deviation
    return 0.5 * (ratio.square() + far.square() - 1 - 2 * ratio.log()).sum(1)


def lambda_returns(rewards: Tensor, values: Tensor, *, discount: float = 0.99, trace: float = 0.95) -> Tensor:
    r"""(H, N) what is still to come from each of H steps on, between one step's reward and all of them.

    .. math:: V_k = r_k + \gamma \big( (1 - \lambda) v_{k+1} + \lambda V_{k+1} \big), \qquad V_{H+1} = v_{H+1}

    Args:
        rewards: (H, N) of each step; costs as well.
        values: (H, N) of the states that each step led to.
        discount: in [0, 1].
        trace: lambda, in [0, 1].
    """
    if rewards.ndim != 2 or rewards.shape != values.shape or not rewards.numel():
        raise ValueError(
            f"rewards and values must be (H, N) alike and not empty, got {tuple(rewards.shape)} and "
            f"{tuple(values.shape)}"
        )
    for name, value in (("discount", discount), ("trace", trace)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}")
    after, found = values[-1], []
    for reward, value in zip(rewards.flip(0), values.flip(0), strict=True):
        after = reward + discount * ((1 - trace) * value + trace * after)
        found.append(after)
    return torch.stack(found[::-1])
