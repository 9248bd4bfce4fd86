"""What a recurrent model expects to come of a policy, and of every plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from nearfar.control.networks import Actor
from nearfar.control.recurrent_model import RecurrentModel, State, every_plan, repeated


class Imagined(NamedTuple):
    """H steps of N imagined ways.

    Attributes:
        told: (H, N, D) what the policy was told before each step: the state and its goal.
        logs: (H, N) log-probabilities of the actions that were drawn.
        spread: (H, N) the policy's entropies.
        states: of each step the states (N) that it led to.
    """

    told: Tensor
    logs: Tensor
    spread: Tensor
    states: list[State]


def imagined(
    model: RecurrentModel,
    actor: Actor,
    state: State,
    goals: Tensor,
    steps: int,
    generator: torch.Generator,
    discrete: bool,
) -> Imagined:
    """Follow a policy through states that nobody has seen.

    Args:
        model: what is expected of actions.
        actor: told features of a state and a goal's code.
        state: where N ways begin.
        goals: (N, D) codes.
        steps: how many.
        generator: draws actions and states.
        discrete: actions are choices, through which no gradients lead.
    """
    told, logs, spread, states = [], [], [], []
    for _ in range(steps):
        told.append(torch.cat([state.features, goals], 1))
        policy = actor(told[-1])
        actions = policy.sample(generator)
        logs.append(policy.log_prob(actions.detach()))
        spread.append(policy.entropy(actions))
        state = model.imagine(state, actions.detach() if discrete else actions, generator)
        states.append(state)
    return Imagined(torch.stack(told), torch.stack(logs), torch.stack(spread), states)


def searched(
    model: RecurrentModel,
    state: State,
    goals: Tensor,
    distance: Callable[[State, Tensor], Tensor],
    steps: int,
    discount: float,
) -> Tensor:
    """(N, A) the first choices, one-hot, of the cheapest of all plans of so many steps.

    Args:
        model: what is expected of plans; its actions are choices.
        state: where N plans begin.
        goals: (N, D).
        distance: (M,) of M states from M goals.
        steps: of a plan.
        discount: of later distances.
    """
    plans = every_plan(model.actions, steps, goals.device)
    costs = model.costs(state, plans, discount, lambda end: distance(end, repeated(goals, plans)))
    return plans[costs.argmin(1), 0]
