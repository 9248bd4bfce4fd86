"""LAEO against a learned reward and against imitation, from the same episodes and examples."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.control.data import Transitions, load
from nearfar.control.methods.laeo import LAEO
from nearfar.control.networks import mlp
from nearfar.losses import cloning
from nearfar.parts import MomentumEncoder
from nearfar.reproductions.control.learning import QUICK, agent_arm, still, words
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Update

SHARED: dict[str, Any] = {
    "hidden": (128, 128),
    "features": 32,
    "discount": 0.9,
    "examples": 50,
    "optimization": QUICK,
    "actor_optimization": QUICK,
}
STEPS = 1000


class LearnedReward(LAEO):
    """A classifier of success states is the reward, and the critic learns its sum by temporal differences."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        wide = self.spaces.observation[0]
        self.classifier = mlp(wide, (128, 128), 1)
        self.values = torch.nn.ModuleList(mlp(wide + self.spaces.actions, (128, 128), 1) for _ in range(2))
        self.slow = MomentumEncoder(self.values, 0.99, "constant")

    def updates(self) -> list[Update]:
        return [
            Update("reward", [*self.classifier.parameters()], self.reward_loss, self.optimization),
            Update("critic", [*self.values.parameters()], self.critic_loss, self.optimization),
            Update("actor", [*self.actor.parameters()], self.actor_loss, self.actor_optimization),
        ]

    def reward_loss(self, batch: Transitions) -> Tensor:
        drawn = torch.randint(len(self.wanted), (len(batch.rewards),), generator=self.generator)
        return (
            F.softplus(-self.classifier(self.wanted[drawn])).mean()
            + F.softplus(self.classifier(batch.observations)).mean()
        )

    def value(self, values: torch.nn.ModuleList, observations: Tensor, actions: Tensor) -> Tensor:
        both = torch.cat([observations, actions], 1)
        return torch.cat([value(both) for value in values], 1)

    def critic_loss(self, batch: Transitions) -> Tensor:
        with torch.no_grad():
            actions = self.policy(batch.next_observations, batch.goals).sample()
            onward = self.value(self.slow.module, batch.next_observations, actions).min(1).values  # type: ignore[arg-type]
            reward = torch.sigmoid(self.classifier(batch.next_observations)).squeeze(1)
            target = (1 - self.sampling.discount) * reward + self.sampling.discount * onward
        found = self.value(self.values, batch.observations, batch.actions)
        return (found - target[:, None]).square().mean()

    def actor_loss(self, batch: Transitions) -> Tensor:
        policy = self.policy(batch.observations, batch.goals)
        value = self.value(self.values, batch.observations, policy.sample()).min(1).values
        # The value's scale is taken out, as TD3 with imitation does.
        value = value / value.detach().abs().mean().clamp_min(1e-6)
        return cloning(-value, -policy.log_prob(batch.actions), share=self.bc)

    def after_step(self) -> None:
        self.slow.update(self.values)


def run(seed: int) -> dict[str, dict[str, float]]:
    def source():  # type: ignore[no-untyped-def]
        return load("point-maze-corner-episodes")

    def arm(cls: type | None = None, **changes):  # type: ignore[no-untyped-def]
        given = {**SHARED, **changes} | ({"spaces": source().spaces} if cls else {})
        return agent_arm("laeo", source(), seed, steps=STEPS, batch_size=256, cls=cls, **given)

    return {
        "laeo": arm(),
        "log-mean-exp": arm(aggregate="logmeanexp"),
        "learned reward": arm(LearnedReward),
        "imitation": arm(bc=1.0),
        "untrained": still("laeo", source(), seed, **SHARED),
        "random": words(source(), "random", seed),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""A point on a free floor of 7 by 7 cells; 20,000 steps recorded from a noisy policy that walks to
    random places, and 50 examples of states in one corner. All arms make {STEPS:,} updates of 256 with towers
    of (128, 128), Adam 1e-3 and as much imitation (0.5). The learned reward is a classifier of the examples
    against all states, whose discounted sum twin critics learn by temporal differences with a slow copy.
    Success: being in the corner at any of 50 steps, 200 episodes.""",
    explanation="""Both reach the corner in every episode, so that this setting leaves no room between them; the
    learned reward gets there in fewer updates (at a quarter of them already). The paper measures manipulation
    with far rarer success, where a classifier of success has little to say about the way there; nothing of that
    kind was measured here.""",
    claims=(
        Claim("LAEO beats a learned reward", "laeo", "learned reward", "success"),
        Claim("LAEO beats imitation", "laeo", "imitation", "success"),
        Claim("LAEO beats the untrained agent", "laeo", "untrained", "success", role="sanity"),
    ),
)
