"""What methods that act share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.control.data.acting import Observed
from nearfar.control.data.episodes import Recorded
from nearfar.control.data.replay import Experience, Sampling
from nearfar.control.networks import Policy, SeparableCritic, pair_scores, torso
from nearfar.control.spaces import Spaces
from nearfar.training import Method, Optimization

ADAM = Optimization("adam", lr=3e-4, weight_decay=0.0, schedule="constant", eps=1e-7)


class Agent(Method):
    """A method that acts. A subclass sets ``spaces``, ``sampling`` and ``encoder``, and writes :meth:`policy`.

    Attributes:
        spaces: what it sees and does; taken from the data where the constructor was not told.
        sampling: what it wants drawn from the replay.
    """

    verbs = ("acts",)
    takes = Experience
    can_collapse = False
    spaces: Spaces
    sampling: Sampling

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        """The distribution of actions (N, A) at observations (N, ...), for what was set (N, ...)."""
        raise NotImplementedError(f"{type(self).__name__} does not define policy(observations, goals)")

    def act(self, observed: Observed, *, generator: torch.Generator | None = None) -> Tensor:
        """Actions (N, A), choices as one-hot rows: drawn with ``generator``, the best ones without it."""
        policy = self.policy(*observed)
        return policy.best if generator is None else policy.sample(generator)


def known(spaces: Spaces | None) -> Spaces:
    """The spaces, which have to be known by now."""
    if spaces is None:
        raise ValueError("spaces are needed: what is observed and done; a world or recorded episodes give them")
    return spaces


def recorded(data: Any, who: str) -> Recorded:
    """The data, which has to be recorded episodes."""
    if not isinstance(data, Recorded):
        raise TypeError(
            f"{who} learns from recorded episodes, and {data.name} is acted in; try --data {data.name}-episodes"
        )
    return data


class GoalCritic(nn.Module):
    """A :class:`SeparableCritic` over observations and goals as they come; one torso sees both where they are pixels.

    Args:
        spaces: what is observed and done, with goals.
        options: of :class:`SeparableCritic`.
        goal: whether what is done is conditioned on a goal, too (TD InfoNCE).
        norm: normalise the maps of pixels.
    """

    def __init__(self, spaces: Spaces, *, goal: bool = False, norm: bool = False, **options: Any) -> None:
        super().__init__()
        self.spaces = spaces
        self.torso, width = torso(spaces, norm=norm)
        aim = width if spaces.pixels else spaces.goal
        self.pairs = SeparableCritic(width + aim * goal, spaces.actions, aim, **options)

    def seen(self, observations: Tensor) -> Tensor:
        """(B, S) what the towers are given of observations."""
        return self.torso(observations)

    def aim(self, goals: Tensor) -> Tensor:
        """(B, G) what the towers are given of goals."""
        return self.torso(goals)

    def forward(self, observations: Tensor, actions: Tensor, goals: Tensor) -> Tensor:
        """Scores (B, M, n) of what is done (B) with goals (M)."""
        return self.pairs(self.seen(observations), actions, self.aim(goals))

    def towards(self, observations: Tensor, aims: Tensor, actions: Tensor, goals: Tensor) -> Tensor:
        """Scores (B, M, n) of what is done (B) by a policy that aims (B) at something, with goals (M)."""
        state = torch.cat([self.seen(observations), self.aim(aims)], 1)
        return pair_scores(self.pairs.phi(state, actions), self.pairs.psi(self.aim(goals)))


class GoalActor(nn.Module):
    """A policy over observations and goals as they come, with a torso of its own.

    Args:
        spaces: what is observed and done.
        body: makes the policy's network of its width of input.
        goal: whether it is told a goal.
        norm: normalise the maps of pixels.
    """

    def __init__(
        self, spaces: Spaces, body: type[nn.Module], *, goal: bool = True, norm: bool = False, **options: Any
    ) -> None:
        super().__init__()
        self.torso, width = torso(spaces, norm=norm)
        self.goal = goal
        aim = width if spaces.pixels else spaces.goal
        self.body = body(width + aim * goal, spaces, **options)

    def forward(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.body(self.torso(observations), *([self.torso(goals)] if self.goal else []))


def kept_parts(parts: Mapping[str, nn.Module]) -> nn.ModuleDict:
    """Modules as one, for ``kept``."""
    return nn.ModuleDict(dict(parts))
