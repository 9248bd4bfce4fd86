"""BeCL: behavior contrastive learning for unsupervised skill discovery."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.control.data import Sampling, Transitions
from nearfar.control.method import Agent, kept_parts, known
from nearfar.control.networks import Actor, Policy, mlp
from nearfar.control.skills import walk_skills
from nearfar.control.spaces import Spaces
from nearfar.losses import becl, becl_alone, soft_target, value_regression
from nearfar.parts import MomentumEncoder
from nearfar.system import Scores
from nearfar.training import Interaction, Optimization, Update

ADAM = Optimization("adam", lr=1e-4, weight_decay=0.0, schedule="constant")


class BeCL(Agent):
    """Yang et al., 2023, ICML, arXiv 2305.04477.

    An agent without rewards is told a skill. States met under one skill are positives, those of others negatives, and
    how well a state is told by another of its skill is the reward: skills come to differ, and each is consistent with
    itself.

    The release's agent is DDPG with noise of 0.2; here exploration is drawn from a policy of that fixed deviation,
    whose actions pass a tanh. Rows that are alone with their skill earn nothing, where the release pays them as if a
    stranger were of their skill: see :func:`nearfar.losses.becl`.

    Args:
        spaces: what is observed and done; taken from the data when not given.
        skills: how many.
        skill_steps: steps for which one is kept.
        temperature: divides the cosines, above 0.
        positive: the ``first`` other state of a skill in the batch, as released, or a ``random`` one.
        features: width of the codes.
        hidden: width of all layers.
        repeat: contrastive updates for one of the agent.
        every: the agent moves in every so many steps.
        discount, tau: of the agent.
        deviation: of its policy.
        optimization: of everything.
    """

    encoder: nn.Module

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        skills: int = 16,
        skill_steps: int = 50,
        temperature: float = 0.5,
        positive: str = "first",
        features: int = 16,
        hidden: int = 1024,
        repeat: int = 3,
        every: int = 2,
        discount: float = 0.99,
        tau: float = 0.01,
        deviation: float = 0.2,
        optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        self.spaces.needs_numbers("becl")
        if skills < 2:
            raise ValueError(f"skills must be at least 2, got {skills}")
        self.sampling = Sampling(skills=skills, skill_steps=skill_steps)
        wide = self.spaces.observation[0]
        self.encoder = mlp(wide, (hidden, hidden), features)
        self.projection = mlp(features, (hidden,), features)
        self.actor = Actor(wide + skills, self.spaces, hidden=(hidden, hidden), deviation=deviation)
        self.values = nn.ModuleList(mlp(wide + skills + self.spaces.actions, (hidden, hidden), 1) for _ in range(2))
        self.slow = MomentumEncoder(self.values, 1 - tau, "constant")
        self.temperature, self.positive = temperature, positive
        self.repeat, self.every, self.discount = repeat, every, discount

    def updates(self) -> list[Update]:
        contrast = [*self.encoder.parameters(), *self.projection.parameters()]
        return [
            Update("contrast", contrast, self.contrast, self.optimization, repeat=self.repeat),
            Update("critic", [*self.values.parameters()], self.critic_loss, self.optimization, every=self.every),
            Update("actor", [*self.actor.parameters()], self.actor_loss, self.optimization, every=self.every),
        ]

    def told_apart(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """(B,) how badly each next state is told by its skill, and whether that means anything."""
        skills = batch.goals.argmax(1)
        codes = self.projection(self.encoder(batch.next_observations))
        losses = becl(codes, skills, temperature=self.temperature, positive=self.positive, generator=self.generator)
        return losses, ~becl_alone(skills)

    def contrast(self, batch: Transitions) -> Tensor:
        losses, fine = self.told_apart(batch)
        return (losses * fine).sum() / fine.sum().clamp_min(1)

    def reward(self, batch: Transitions) -> Tensor:
        """(B,) in [0, 1]."""
        with torch.no_grad():
            losses, fine = self.told_apart(batch)
        return (-losses).exp() * fine

    def value(self, values: nn.Module, observations: Tensor, skills: Tensor, actions: Tensor) -> Tensor:
        """(B, 2)."""
        joint = torch.cat([observations, skills, actions], 1)
        return torch.cat([each(joint) for each in values], 1)  # type: ignore[operator, attr-defined]

    def critic_loss(self, batch: Transitions) -> Tensor:
        with torch.no_grad():
            actions = self.policy(batch.next_observations, batch.goals).sample()
            onward = self.value(self.slow.module, batch.next_observations, batch.goals, actions)
        target = soft_target(
            self.reward(batch),
            batch.continues,
            onward[None],
            torch.zeros_like(onward[None, :, 0]),
            alpha=0.0,
            discount=self.discount,
        )
        return value_regression(self.value(self.values, batch.observations, batch.goals, batch.actions)[None], target)

    def actor_loss(self, batch: Transitions) -> Tensor:
        actions = self.policy(batch.observations, batch.goals).sample()
        return -self.value(self.values, batch.observations, batch.goals, actions).min(1).values.mean()

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.actor(observations, goals)

    def after_step(self) -> None:
        self.slow.update(self.values)

    def kept(self) -> nn.Module:
        return kept_parts({"encoder": self.encoder, "projection": self.projection, "actor": self.actor})

    def evaluate(self, data: Interaction, *, seed: int = 0) -> Scores:
        """What the skills do from one beginning: how many cells of a 10 by 10 grid over the first two observed numbers
        they visit together (``coverage``), and in how many of 10 trials their last state tells which skill it was
        (``skills told apart``, by the nearest mean of the other trials)."""
        trials, count = 10, self.sampling.skills
        with self.frozen():
            paths = walk_skills(self, data.fresh(trials * count), seed)  # type: ignore[attr-defined]
        cells = np.clip(((paths[..., :2] + 1) * 5).astype(int), 0, 9)
        ends = paths[-1].reshape(trials, count, -1)
        means = (ends.sum(0, keepdims=True) - ends) / (trials - 1)
        far = np.square(ends[:, :, None] - means[:, None]).sum(-1)
        return Scores(
            {
                "coverage": len(np.unique(cells[..., 0] * 10 + cells[..., 1])) / 100,
                "skills told apart": float((far.argmin(2) == np.arange(count)).mean()),
            }
        )
