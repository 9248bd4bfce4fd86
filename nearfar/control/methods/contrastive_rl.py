"""Contrastive RL: contrastive learning as goal-conditioned reinforcement learning."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nearfar.control.data import Sampling, Transitions
from nearfar.control.method import ADAM, Agent, GoalActor, GoalCritic, kept_parts, known
from nearfar.control.networks import Actor, Policy
from nearfar.control.spaces import Spaces
from nearfar.losses import c_learning, cloning, pairwise_nce, penalized_info_nce, reaching
from nearfar.parts import MomentumEncoder
from nearfar.training import Optimization, Update


class GoalBatch(NamedTuple):
    """Transitions with goals: ``goals`` (B, ...) belong to the rows, ``states`` and ``aims`` are the actor's."""

    batch: Transitions
    goals: Tensor
    states: Tensor
    aims: Tensor


class ContrastiveRL(Agent):
    """Eysenbach et al., 2022, NeurIPS, arXiv 2206.07568.

    The product of a code of (state, action) and a code of a goal, trained to tell states of a trajectory's future from
    random ones, is the logarithm of the goal-conditioned Q function up to a constant; an actor climbs it. There are no
    rewards. ``c_learning`` and its mixture learn the same by temporal differences.

    Defaults are the released ones for states, online. Offline the release takes ``critics=2``, ``hidden=(1024, 1024)``,
    ``features=16``, ``random_goals=0``, ``bc=0.05``; for pixels ``learned_alpha``. The release computes both gradients
    before it moves anything; here the actor climbs the critic that was just moved.

    Args:
        spaces: what is observed and done; taken from the data when not given. Pixels are their own goals.
        loss: ``nce`` (every pair a decision), ``cpc`` (softmax with a penalty), ``c_learning``, ``nce+c_learning``.
        hidden: widths of the towers and of the actor.
        features: width of the codes.
        critics: of which the actor climbs the least.
        discount: of the future, in (0, 1).
        random_goals: share of the actor's goals that are other rows': 0, 0.5 or 1.
        bc: share of imitation in the actor's objective, in [0, 1].
        alpha: price of the policy's certainty, at least 0.
        learned_alpha: learn it from 1 on, to an entropy of 0.
        tau: how fast the target critic of temporal differences follows, in (0, 1].
        optimization, actor_optimization: of critic and actor.
    """

    encoder: GoalCritic

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        loss: Literal["nce", "cpc", "c_learning", "nce+c_learning"] = "nce",
        hidden: tuple[int, ...] = (256, 256),
        features: int = 64,
        critics: int = 1,
        discount: float = 0.99,
        random_goals: float = 0.5,
        bc: float = 0.0,
        alpha: float = 0.0,
        learned_alpha: bool = False,
        tau: float = 0.005,
        optimization: Optimization = ADAM,
        actor_optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        self.spaces.needs_goals("contrastive-rl")
        if random_goals not in (0, 0.5, 1):
            raise ValueError(f"random_goals must be 0, 0.5 or 1, got {random_goals}")
        if loss not in ("nce", "cpc", "c_learning", "nce+c_learning"):
            raise ValueError(f"loss must be nce, cpc, c_learning or nce+c_learning, got {loss!r}")
        self.sampling = Sampling(discount=discount)
        self.encoder = GoalCritic(self.spaces, hidden=hidden, features=features, critics=critics)
        self.actor = GoalActor(self.spaces, Actor, hidden=hidden)
        self.differences = "c_learning" in loss
        self.target = MomentumEncoder(self.encoder, 1 - tau, "constant") if self.differences else None
        self.log_alpha = torch.nn.Parameter(torch.zeros(()), requires_grad=learned_alpha)
        self.kind, self.bc, self.alpha, self.random_goals = loss, bc, alpha, random_goals
        self.actor_optimization = actor_optimization

    def views(self, batch: Transitions) -> GoalBatch:
        goals = self.spaces.reached(batch.futures)
        if self.differences:
            after = self.spaces.reached(batch.next_observations)
            share = (1 - self.sampling.discount) / (2 - self.sampling.discount)
            count = len(after) if self.kind == "c_learning" else int(len(after) * share)
            goals = torch.cat([after[:count], goals[count:]])
        states, aims = batch.observations, self.spaces.reached(batch.futures)
        others = aims.roll(1, 0)
        if self.random_goals == 0.5:
            states, aims = torch.cat([states, states]), torch.cat([aims, others])
        return GoalBatch(batch, goals, states, others if self.random_goals == 1 else aims)

    def updates(self) -> list[Update]:
        found = [
            Update("critic", [*self.encoder.parameters()], self.critic_loss, self.optimization),
            Update("actor", [*self.actor.parameters()], self.actor_loss, self.actor_optimization),
        ]
        if self.log_alpha.requires_grad:
            found.append(Update("alpha", [self.log_alpha], self.alpha_loss, self.actor_optimization))
        return found

    def critic_loss(self, views: GoalBatch) -> Tensor:
        batch = views.batch
        logits = self.encoder(batch.observations, batch.actions, views.goals)
        if self.kind == "nce":
            return pairwise_nce(logits)
        if self.kind == "cpc":
            return penalized_info_nce(logits)
        assert self.target is not None
        others = views.goals.roll(-1, 0)
        with torch.no_grad():
            actions = self.actor(batch.next_observations, others).sample()
            target = self.target(batch.next_observations, actions, others)
        return c_learning(logits, target, discount=self.sampling.discount, mixed=self.kind != "c_learning")

    def actor_loss(self, views: GoalBatch) -> Tensor:
        policy = self.actor(views.states, views.aims)
        actions, log_prob = policy.draw()
        alpha = self.log_alpha.detach().exp() if self.log_alpha.requires_grad else self.alpha
        objective = reaching(self.encoder(views.states, actions, views.aims), log_prob, alpha=alpha)
        if not self.bc:
            return objective.mean()
        done = views.batch.actions.repeat(len(views.states) // len(views.batch.actions), 1)
        return cloning(objective, -policy.log_prob(done), share=self.bc)

    def alpha_loss(self, views: GoalBatch) -> Tensor:
        with torch.no_grad():
            _, log_prob = self.actor(views.states, views.aims).draw()
        return -(self.log_alpha.exp() * log_prob).mean()

    def after_step(self) -> None:
        if self.target is not None:
            self.target.update(self.encoder)

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.actor(observations, goals)

    def kept(self) -> torch.nn.Module:
        return kept_parts({"critic": self.encoder, "actor": self.actor})
