"""Stabilizing Contrastive RL: design choices that make it work offline, from pictures."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from nearfar.control.augment import shift
from nearfar.control.data import Sampling, Transitions
from nearfar.control.method import Agent, GoalActor, GoalCritic, kept_parts, known
from nearfar.control.networks import Actor, Policy
from nearfar.control.spaces import Spaces
from nearfar.losses import c_learning, cloning, pairwise_nce, reaching
from nearfar.parts import MomentumEncoder
from nearfar.training import Optimization, Update

ADAM = Optimization("adam", lr=3e-4, weight_decay=0.0, schedule="constant")


class StableBatch(NamedTuple):
    """Transitions with the goals (B, ...) of the matrix's columns, the actor's aims, and what imitation sees."""

    batch: Transitions
    goals: Tensor
    aims: Tensor
    shown: tuple[Tensor, Tensor]


class StableContrastiveRL(Agent):
    """Zheng et al., 2023, ICLR 2024, arXiv 2306.03346.

    Contrastive RL with layer norm, a last layer that begins at almost 0, balanced negatives, large batches, a policy of
    fixed width, and shifted pictures for imitation alone. The released default learns by temporal differences
    (``loss="td"``); ``mc`` draws states of the future.

    Args:
        spaces: what is observed and done; taken from the data when not given. The paper's are pictures, 48 by 48.
        loss: ``td`` or ``mc``.
        hidden: widths of the towers and of the actor.
        features: width of the codes.
        critics: of which the actor climbs the least.
        layer_norm: normalise in towers, actor and convolutions.
        final_init: the towers' last weights begin within this of 0; ``None`` for torch's beginning.
        negative_weight: ``balanced`` (1/(B - 1) for every pair that does not belong together, ``mc`` only) or ``unit``.
        deviation: standard deviation of the policy before its tanh, above 0.
        bc: share of imitation in the actor's objective, in [0, 1].
        augment: probability that a batch's pictures are shifted for imitation, in [0, 1].
        discount: of the future, in (0, 1).
        tau: how fast the target critic follows, in (0, 1].
        optimization, actor_optimization: of critic and actor.
    """

    encoder: GoalCritic

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        loss: Literal["td", "mc"] = "td",
        hidden: tuple[int, ...] = (1024, 1024, 1024, 1024),
        features: int = 16,
        critics: int = 2,
        layer_norm: bool = True,
        final_init: float | None = 1e-12,
        negative_weight: Literal["unit", "balanced"] = "balanced",
        deviation: float = 0.15,
        bc: float = 0.05,
        augment: float = 0.5,
        discount: float = 0.99,
        tau: float = 0.005,
        optimization: Optimization = ADAM,
        actor_optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        self.spaces.needs_goals("stable-contrastive-rl")
        if loss not in ("td", "mc"):
            raise ValueError(f"loss must be td or mc, got {loss!r}")
        if not 0 <= augment <= 1:
            raise ValueError(f"augment must be a probability, got {augment}")
        self.sampling = Sampling(discount=discount)
        shape: dict[str, Any] = {"hidden": hidden, "layer_norm": layer_norm}
        self.encoder = GoalCritic(
            self.spaces, norm=layer_norm, features=features, critics=critics, final_init=final_init, **shape
        )
        self.actor = GoalActor(self.spaces, Actor, norm=layer_norm, deviation=deviation, **shape)
        self.target = MomentumEncoder(self.encoder, 1 - tau, "constant") if loss == "td" else None
        self.negative_weight, self.bc, self.augment = negative_weight, bc, augment
        self.actor_optimization = actor_optimization

    def views(self, batch: Transitions) -> StableBatch:
        aims = self.spaces.reached(batch.futures)
        goals = aims if self.target is None else self.spaces.reached(batch.next_observations)
        shown = batch.observations, aims
        chance = torch.rand((), generator=self.generator, device=self.generator.device)
        if self.spaces.pixels and self.bc and chance < self.augment:
            channels = self.spaces.observation[0]
            both = shift(torch.cat(shown, 1), 4, self.generator)
            shown = both[:, :channels], both[:, channels:]
        return StableBatch(batch, goals, aims, shown)

    def updates(self) -> list[Update]:
        return [
            Update("critic", [*self.encoder.parameters()], self.critic_loss, self.optimization),
            Update("actor", [*self.actor.parameters()], self.actor_loss, self.actor_optimization),
        ]

    def critic_loss(self, views: StableBatch) -> Tensor:
        batch = views.batch
        logits = self.encoder(batch.observations, batch.actions, views.goals)
        if self.target is None:
            return pairwise_nce(logits, negative_weight=self.negative_weight)
        others = views.goals.roll(-1, 0)
        with torch.no_grad():
            actions = self.actor(batch.next_observations, others).sample()
            target = self.target(batch.next_observations, actions, others)
        return c_learning(logits, target, discount=self.sampling.discount)

    def actor_loss(self, views: StableBatch) -> Tensor:
        batch = views.batch
        actions = self.actor(batch.observations, views.aims).sample()
        objective = reaching(self.encoder(batch.observations, actions, views.aims))
        imitation = -self.actor(*views.shown).log_prob(batch.actions)
        return cloning(objective, imitation, share=self.bc)

    def after_step(self) -> None:
        if self.target is not None:
            self.target.update(self.encoder)

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.actor(observations, goals)

    def kept(self) -> torch.nn.Module:
        return kept_parts({"critic": self.encoder, "actor": self.actor})
