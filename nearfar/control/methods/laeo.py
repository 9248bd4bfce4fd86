"""LAEO: learning to act from examples of the outcome."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from nearfar.control.data import Sampling, Transitions
from nearfar.control.method import Agent, GoalActor, GoalCritic, kept_parts, known, recorded
from nearfar.control.networks import Actor, Policy
from nearfar.control.spaces import Spaces
from nearfar.losses import cloning, example_value, pairwise_nce, reaching
from nearfar.training import Optimization, Update

ADAM = Optimization("adam", lr=3e-4, weight_decay=0.0, schedule="constant", eps=1e-7)


class LAEO(Agent):
    r"""Hatch et al., 2023, L4DC, arXiv 2307.13101.

    Offline control from episodes without rewards and some states in which the task is done. Contrastive RL's critic
    learns which states follow; the value of an action is then that of reaching any of the examples,
    :math:`Q(s, a) \propto \mathbb E_{s^*}[e^{f(s, a, s^*)}]`, and the policy, which is told no goal, climbs its
    logarithm.

    Released is ``aggregate="sample"``, one example drawn for each row, which averages outside of the logarithm;
    ``logmeanexp`` is the paper's theory. Examples are the observations whose reward is above 0, or those of the file's
    array ``examples``.

    Args:
        spaces: what is observed and done; taken from the data when not given. Whole observations are goals.
        aggregate: ``sample``, ``logmeanexp`` or ``max``.
        examples: how many states of success are kept, drawn once.
        hidden: widths of the towers and of the actor.
        features: width of the codes.
        critics: of which the actor climbs the least.
        discount: of the future, in (0, 1).
        bc: share of imitation in the actor's objective, in [0, 1].
        least_deviation: of the policy, above 0.
        optimization, actor_optimization: of critic and actor.
    """

    encoder: GoalCritic
    wanted: Tensor

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        aggregate: Literal["sample", "logmeanexp", "max"] = "sample",
        examples: int = 200,
        hidden: tuple[int, ...] = (1024, 1024),
        features: int = 256,
        critics: int = 2,
        discount: float = 0.99,
        bc: float = 0.5,
        least_deviation: float = 0.1,
        optimization: Optimization = ADAM,
        actor_optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        if aggregate not in ("sample", "logmeanexp", "max"):
            raise ValueError(f"aggregate must be sample, logmeanexp or max, got {aggregate!r}")
        if examples < 1:
            raise ValueError(f"examples must be at least 1, got {examples}")
        self.sampling = Sampling(discount=discount)
        whole = Spaces(
            self.spaces.observation, self.spaces.actions, self.spaces.discrete, goal=self.spaces.observation[0]
        )
        self.encoder = GoalCritic(whole, hidden=hidden, features=features, critics=critics)
        self.actor = GoalActor(whole, Actor, goal=False, hidden=hidden, least=least_deviation)
        kind = torch.uint8 if self.spaces.pixels else torch.float32
        self.register_buffer("wanted", torch.zeros((examples, *self.spaces.observation), dtype=kind))
        self.aggregate, self.bc = aggregate, bc
        self.actor_optimization = actor_optimization

    def begin(self, data: Any) -> None:
        found = recorded(data, "laeo").examples(len(self.wanted), seed=self.seed)
        self.wanted.copy_(torch.from_numpy(found))

    def updates(self) -> list[Update]:
        return [
            Update("critic", [*self.encoder.parameters()], self.critic_loss, self.optimization),
            Update("actor", [*self.actor.parameters()], self.actor_loss, self.actor_optimization),
        ]

    def critic_loss(self, batch: Transitions) -> Tensor:
        return pairwise_nce(self.encoder(batch.observations, batch.actions, batch.futures))

    def actor_loss(self, batch: Transitions) -> Tensor:
        policy = self.policy(batch.observations, batch.goals)
        actions = policy.sample()
        if self.aggregate == "sample":
            drawn = torch.randint(len(self.wanted), (len(actions),), device=self.device, generator=self.generator)
            objective = reaching(self.encoder(batch.observations, actions, self.wanted[drawn]))
        else:
            scores = self.encoder(batch.observations, actions, self.wanted)
            objective = -example_value(scores, aggregate=self.aggregate)
        return cloning(objective, -policy.log_prob(batch.actions), share=self.bc)

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.actor(observations, goals)

    def kept(self) -> torch.nn.Module:
        return kept_parts({"critic": self.encoder, "actor": self.actor})
