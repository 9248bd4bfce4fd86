"""ActLCD: active layer-contrastive decoding."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Look, early_layers, forced_looks
from nearfar.decoding.learned import LearnedDecoder
from nearfar.decoding.method import Model, Writing
from nearfar.losses import dola
from nearfar.training import Optimization, Phase

TOP = 5


class Steps(NamedTuple):
    """Written words: state (N, S), what was done (N,), its reward (N,), state after it (N, S), whether a text ends."""

    states: Tensor
    actions: Tensor
    rewards: Tensor
    following: Tensor
    ends: Tensor


class Policy(nn.Module):
    """Batch-constrained Q-learning with two actions: 0 takes the last layer's words, 1 the contrast."""

    def __init__(self, size: int, hidden: tuple[int, ...], threshold: float) -> None:
        super().__init__()
        self.behaviour, self.values = _mlp(size, hidden), _mlp(size, hidden)
        self.target = copy.deepcopy(self.values).requires_grad_(False)
        self.threshold = threshold

    def allowed(self, states: Tensor) -> Tensor:
        """(N, 2): actions that were likely in the traces; all where none was."""
        likely = self.behaviour(states).softmax(-1) > self.threshold
        return likely | ~likely.any(-1, keepdim=True)

    def act(self, states: Tensor, use: str) -> Tensor:
        """(N,): the best allowed action, or the traces' most likely one."""
        if use == "behaviour":
            return self.behaviour(states).argmax(-1)
        return self.values(states).masked_fill(~self.allowed(states), -torch.inf).argmax(-1)


def _mlp(size: int, hidden: tuple[int, ...]) -> nn.Sequential:
    widths = [size, *hidden]
    parts = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*parts, nn.Linear(widths[-1], 2))


def layer_state(final: Tensor, early: Tensor, features: str = "ids") -> Tensor:
    """(B, 10 (K + 1)): the five best words of each candidate layer, then of the last: id and probability in turn; with
    ``probs`` the probabilities alone, (B, 5 (K + 1)), which are not bound to a vocabulary.

    Args:
        final: (B, V). early: (K, B, V).
    """
    best = torch.cat([early, final[None]]).softmax(-1).topk(TOP, -1)
    parts = [best.values] if features == "probs" else [best.indices.to(final), best.values]
    return torch.stack(parts, -1).permute(1, 0, 2, 3).flatten(1)


class ActLCD(LearnedDecoder):
    """Zhang et al., 2025, EMNLP, arXiv 2505.23657.

    A policy decides at every word whether to contrast layers as :class:`DoLa` does or to take the last layer's words,
    learned offline from labelled words: first what the labels did, then their values, restricted to likely actions. As
    in the paper, not contrasting gives the last layer's scores; the released code instead draws from the contrast
    until it differs from the contrast's best word, gives up after a hundred words, and acts by the behaviour network.
    The release does not say how its labels were made. Ours: along the right answer, 1 where the contrast's best word
    is the right one and the last layer's is not, else 0; the logged actions are the labels, and a text is rewarded at
    its end with 1 for each 1 and 1.4 for each 0.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`.
        layers: candidates, ``low`` or ``high``; see :class:`DoLa`.
        only: layers by number instead.
        alpha: DoLa's plausibility constraint.
        features: of a state: ``ids`` and probabilities, as released, or ``probs``.
        hidden: widths of the three networks.
        threshold: an action is allowed where the behaviour network gives it more than this.
        gamma: discount.
        use: what acts: the ``q`` values among allowed actions, or the ``behaviour`` network.
        copy_every: steps between copies of the values into their target.
        writing: how texts are continued.
        optimization: AdamW 3e-4 at a constant rate; 35 epochs of behaviour, then 130 of values.
    """

    beams = False
    made: Tensor
    phases = (Phase("behaviour", share=35 / 165), Phase("values"))

    def __init__(
        self,
        model: Model | None = None,
        *,
        layers: Literal["low", "high"] = "low",
        only: tuple[int, ...] = (),
        alpha: float = 0.1,
        features: Literal["ids", "probs"] = "ids",
        hidden: tuple[int, ...] = (1024, 1024, 512, 512, 256, 256),
        threshold: float = 0.3,
        gamma: float = 1.0,
        use: Literal["q", "behaviour"] = "q",
        copy_every: int = 200,
        writing: Writing = Writing(),
        optimization: Optimization = Optimization("adamw", lr=3e-4, schedule="constant"),
    ) -> None:
        super().__init__(model, writing, optimization)
        self.early = early_layers(self.lm.model, only or layers)
        size = (10 if features == "ids" else 5) * (len(self.early) + 1)
        self.encoder: Policy = Policy(size, tuple(hidden), threshold)
        self.alpha, self.features, self.gamma, self.use, self.copy_every = alpha, features, gamma, use, copy_every
        self.register_buffer("made", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def traced(self, batch: PromptBatch) -> Steps:
        """The words of the right answers as steps of the process."""
        words, mask = self.answer_words(batch.answers, end=True)
        (look,) = forced_looks(self.branches(batch), words, mask, early=self.early)
        assert look.early is not None
        contrast, _ = dola(look.logits, look.early, alpha=self.alpha)
        labels = ((contrast.argmax(-1) == words) & (look.logits.argmax(-1) != words)).long()
        shape = (*words.shape, -1)
        states = layer_state(look.logits.flatten(0, 1), look.early.flatten(1, 2), self.features).view(shape)
        reward = ((labels + 1.4 * (1 - labels)) * mask).sum(1, keepdim=True)
        ends = mask.bool() & ~F.pad(mask, (0, 1))[:, 1:].bool()
        following = torch.cat([states[:, 1:], states[:, -1:]], 1)
        kept = mask.bool()
        return Steps(states[kept], labels[kept], (reward * ends)[kept], following[kept], ends[kept])

    def begin(self, data: Any) -> None:
        super().begin(data)
        prompts = self.learning(data)
        if prompts.answers is None:
            raise ValueError("ActLCD learns from right answers, and these prompts have none: give a column answer")

    def views(self, batch: PromptBatch) -> Steps:
        return self.traced(batch)

    def loss(self, views: Steps) -> Tensor:
        if self.phase == "behaviour":
            return F.cross_entropy(self.encoder.behaviour(views.states), views.actions)
        taken = self.encoder.values(views.states).gather(1, views.actions[:, None]).squeeze(1)
        with torch.no_grad():
            value = self.encoder.target(views.following)
            value = value.masked_fill(~self.encoder.allowed(views.following), -torch.inf).amax(1)
        return F.mse_loss(taken, views.rewards + self.gamma * value.where(~views.ends, torch.zeros_like(value)))

    def after_step(self) -> None:
        self.made += 1
        if int(self.made) % self.copy_every == 0:
            self.encoder.target.load_state_dict(self.encoder.values.state_dict())

    def combine(self, looks: list[Look]) -> Tensor:
        final, early = looks[0]
        assert early is not None
        flat, layers = final.flatten(0, -2), early.flatten(1, -2)
        contrast, _ = dola(flat, layers, alpha=self.alpha)
        acts = self.encoder.act(layer_state(flat, layers, self.features), self.use)
        return torch.where(acts[:, None] == 1, contrast, flat.log_softmax(-1)).view_as(final)

    @torch.no_grad()
    def shares(self, data: Any) -> dict[str, float]:
        """How often it contrasts along the right answers, and how often that would be right."""
        steps = self.traced(data.batch(np.arange(len(data))))
        acts = self.encoder.act(steps.states, self.use)
        return {"contrasts": float(acts.float().mean()), "should": float(steps.actions.float().mean())}
