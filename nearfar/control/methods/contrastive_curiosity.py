"""Curiosity by contrast: an agent that is paid for what its memory does not tell."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.control.data import Acting, Sampling, Transitions
from nearfar.control.evaluation import play
from nearfar.control.method import Agent, kept_parts, known
from nearfar.control.networks import Choices, Policy, mlp, torso
from nearfar.control.spaces import Spaces
from nearfar.losses import curiosity, info_nce
from nearfar.parts import FeatureQueue, MomentumEncoder
from nearfar.system import Scores
from nearfar.training import Optimization, Update

ADAM = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant")


class ContrastiveCuriosity(Agent):
    """Intrinsic motivation by contrast; no single paper, nearest are CPC's predictions (arXiv 1807.03748) and particle
    entropy. The design is the library's own.

    A prediction of the next state's code finds it among the batch (InfoNCE). What is hard to tell from a memory of past
    codes is the only reward of a deep Q learner with choices, divided by its running deviation. Codes in the memory
    grow old while the encoder moves: it is short, and written anew at every step.

    Args:
        spaces: what is observed and done, with choices; taken from the data when not given.
        mode: ``novelty`` or ``predictive``; see :func:`nearfar.losses.curiosity`.
        latent: width of the codes.
        hidden: width of the layers.
        memory: codes that are remembered.
        temperature: divides the cosines, above 0.
        certainty: values are multiplied by it before the policy's softmax, above 0.
        warm_up: steps before a bonus is paid, at least 0.
        discount, tau: of the Q learner.
        optimization: of everything.
    """

    deviation: Tensor
    made: Tensor
    encoder: nn.Sequential

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        mode: Literal["novelty", "predictive"] = "novelty",
        latent: int = 32,
        hidden: int = 128,
        memory: int = 2048,
        temperature: float = 0.1,
        certainty: float = 5.0,
        warm_up: int = 50,
        discount: float = 0.95,
        tau: float = 0.02,
        optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        if not self.spaces.discrete:
            raise ValueError("contrastive-curiosity learns values of choices, and this world takes numbers; try grid")
        if mode not in ("novelty", "predictive"):
            raise ValueError(f"mode must be novelty or predictive, got {mode!r}")
        if not certainty > 0:
            raise ValueError(f"certainty must be above 0, got {certainty}")
        self.sampling = Sampling()
        body, width = torso(self.spaces)
        self.encoder = nn.Sequential(body, mlp(width, (hidden,), latent))
        self.prediction = mlp(latent + self.spaces.actions, (hidden,), latent)
        seen, wide = torso(self.spaces)
        self.values = nn.Sequential(seen, mlp(wide, (hidden,), self.spaces.actions))
        self.slow = MomentumEncoder(self.values, 1 - tau, "constant")
        self.memory = FeatureQueue(memory, latent)
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("made", torch.zeros((), dtype=torch.long))
        self.mode, self.temperature, self.certainty = mode, temperature, certainty
        self.warm_up, self.discount = warm_up, discount

    def updates(self) -> list[Update]:
        predicting = [*self.encoder.parameters(), *self.prediction.parameters()]
        return [
            Update("contrast", predicting, self.contrast, self.optimization),
            Update("values", [*self.values.parameters()], self.value_loss, self.optimization),
        ]

    def codes(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Where each step was expected to lead and where it led, (B, D) each."""
        here = self.encoder(batch.observations)
        return self.prediction(torch.cat([here, batch.actions], 1)), self.encoder(batch.next_observations)

    def contrast(self, batch: Transitions) -> Tensor:
        predicted, reached = self.codes(batch)
        return info_nce(predicted, reached, temperature=self.temperature)

    def reward(self, batch: Transitions) -> Tensor:
        """(B,) the bonus, not yet divided."""
        with torch.no_grad():
            predicted, reached = self.codes(batch)
        return curiosity(predicted, reached, self.memory.keys, temperature=self.temperature, mode=self.mode)

    def value_loss(self, batch: Transitions) -> Tensor:
        bonus = self.reward(batch)
        with torch.no_grad():
            if len(bonus) > 1:
                self.deviation.lerp_(bonus.std(), 0.01)
            self.memory.enqueue(self.encoder(batch.next_observations))
            paid = bonus / self.deviation.clamp_min(1e-3) * float(int(self.made) >= self.warm_up)
            # The choice is the fast network's and its value the slow one's.
            best = self.values(batch.next_observations).argmax(1, keepdim=True)
            onward = self.slow(batch.next_observations).gather(1, best).squeeze(1)
            target = (1 - self.discount) * paid + self.discount * batch.continues * onward
        return F.smooth_l1_loss((self.values(batch.observations) * batch.actions).sum(1), target)

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return Choices(self.values(observations) * self.certainty)

    def after_step(self) -> None:
        self.made += 1
        self.slow.update(self.values)

    def kept(self) -> nn.Module:
        return kept_parts(
            {"encoder": self.encoder, "prediction": self.prediction, "value": self.values, "memory": self.memory}
        )

    def evaluate(self, data: Any, *, seed: int = 0) -> Scores:
        """How many different observations it met while it learned (``met in training``, where that was seen in this
        process), and the returns of its drawn actions, which nothing paid for."""
        scores = Scores(neither=("return",))
        if isinstance(data, Acting) and data._replay is not None:
            replay = data.replay
            rows = replay.observations[: min(replay.written, replay.capacity)].reshape(len(replay), -1)
            scores["met in training"] = float(len(np.unique(rows, axis=0)))
        with self.frozen():
            found = play(self, data.fresh(20), 20, seed=seed, drawn=True)
        scores["return"] = float(found.returns.mean())
        return scores
