"""TD InfoNCE: contrastive difference predictive coding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nearfar.control.data import Sampling, Transitions
from nearfar.control.method import ADAM, Agent, GoalActor, GoalCritic, kept_parts, known
from nearfar.control.networks import Actor, Policy
from nearfar.control.spaces import Spaces
from nearfar.losses import cloning, picking, td_info_nce
from nearfar.parts import MomentumEncoder
from nearfar.training import Optimization, Update

SLOW = Optimization("adam", lr=5e-5, weight_decay=0.0, schedule="constant", eps=1e-7)


class TDBatch(NamedTuple):
    """Transitions with what the policy aims at (B, ...) and random states (B, ...) to contrast with."""

    batch: Transitions
    aims: Tensor
    random: Tensor


class TDInfoNCE(Agent):
    """Zheng, Salakhutdinov and Eysenbach, 2023, ICLR 2024, arXiv 2310.20141.

    The discounted distribution of the states that follow (s, a) under a policy, learned from single transitions: next
    states are positives, and random states are weighted as the target critic expects them after the policy's next
    action. Critic and actor are told the goal that the policy aims at. The actor makes its action pick its own goal
    among the batch's.

    Defaults are the released ones online. Offline the release takes ``hidden`` of four times 1024, ``bc=0.2`` and
    ``random_goals=False``.

    Args:
        spaces: what is observed and done; taken from the data when not given.
        hidden: widths of the towers and of the actor.
        features: width of the codes.
        critics: of which the target takes the least.
        temperature: divides the products of codes of length 1, above 0.
        discount: of the future, in (0, 1).
        random_goals: goals are states of other episodes; otherwise states of each row's own future.
        bc: share of imitation (squared error) in the actor's objective, in [0, 1].
        tau: how fast the target critic follows, in (0, 1].
        optimization, actor_optimization: of critic and actor.
    """

    encoder: GoalCritic

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        hidden: tuple[int, ...] = (512, 512, 512, 512),
        features: int = 16,
        critics: int = 2,
        temperature: float = 1.0,
        discount: float = 0.99,
        random_goals: bool = True,
        bc: float = 0.0,
        tau: float = 0.005,
        optimization: Optimization = ADAM,
        actor_optimization: Optimization = SLOW,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        self.spaces.needs_goals("td-infonce")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.sampling = Sampling(discount=discount)
        self.encoder = GoalCritic(
            self.spaces,
            goal=True,
            hidden=hidden,
            features=features,
            critics=critics,
            normalize=True,
            temperature=temperature,
        )
        self.actor = GoalActor(self.spaces, Actor, hidden=hidden)
        self.target = MomentumEncoder(self.encoder, 1 - tau, "constant")
        self.random_goals, self.bc = random_goals, bc
        self.actor_optimization = actor_optimization

    def views(self, batch: Transitions) -> TDBatch:
        futures = self.spaces.reached(batch.futures)
        aims = futures.roll(1, 0) if self.random_goals else futures
        return TDBatch(batch, aims, aims.roll(-1, 0))

    def updates(self) -> list[Update]:
        return [
            Update("critic", [*self.encoder.parameters()], self.critic_loss, self.optimization),
            Update("actor", [*self.actor.parameters()], self.actor_loss, self.actor_optimization),
        ]

    def critic_loss(self, views: TDBatch) -> Tensor:
        batch = views.batch
        here = batch.observations, views.aims, batch.actions
        positive = self.encoder.towards(*here, self.spaces.reached(batch.next_observations))
        random = self.encoder.towards(*here, views.random)
        with torch.no_grad():
            actions = self.actor(batch.next_observations, views.aims).sample()
            slow: GoalCritic = self.target.module  # type: ignore[assignment]
            target = slow.towards(batch.next_observations, views.aims, actions, views.random)
        return td_info_nce(positive, random, target, discount=self.sampling.discount)

    def actor_loss(self, views: TDBatch) -> Tensor:
        batch = views.batch
        actions = self.actor(batch.observations, views.aims).sample()
        objective = picking(self.encoder.towards(batch.observations, views.aims, actions, views.aims))
        if not self.bc:
            return objective.mean()
        return cloning(objective, (actions - batch.actions).square().mean(1), share=self.bc)

    def after_step(self) -> None:
        self.target.update(self.encoder)

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.actor(observations, goals)

    def kept(self) -> torch.nn.Module:
        return kept_parts({"critic": self.encoder, "actor": self.actor})
