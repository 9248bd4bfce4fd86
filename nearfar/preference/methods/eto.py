"""ETO: exploration-based trajectory optimization."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.losses import dpo_loss
from nearfar.preference.data.batches import PairBatch
from nearfar.preference.data.trajectories import Trajectories, TrajectoryBatch, explore, trajectory_pairs
from nearfar.preference.method import Aligned, Judged
from nearfar.preference.policy import Lora
from nearfar.system import Scores
from nearfar.training import Optimization, Phase

ADAMW = Optimization("adamw", lr=2e-5, weight_decay=0.0, schedule="constant", warmup=0.03)


class Learnt(NamedTuple):
    """Conversations that are imitated, or pairs of them that are compared."""

    judged: Judged
    compared: bool
    beta: float


class ETO(Aligned):
    """Song et al., 2024, ACL, arXiv 2403.02502.

    A language model that acts in an environment of text first imitates an expert. Then come rounds: it tries every
    training task, its failures are paired with the expert's successes, and DPO learns from the pairs; each round's
    reference is the model that explored. Only what the model says counts, never what it saw. Trajectories that were
    recorded before can be compared with :class:`nearfar.preference.methods.dpo.DPO`, whose pairs may be conversations.

    Args:
        model: as for DPO, with a chat template.
        betas: of DPO in each round (the release: 0.1, then 0.5).
        imitation: share of the run that imitates the expert, in [0, 1]; what is left is shared by the rounds.
        round_rates: the rounds' rates, as shares of the imitation's (the release: 1e-6, then 5e-7, after 2e-5).
        extra: messages that a failure may have more than the success, the others are cut.
        turns: answers in an episode at most. new: tokens of an answer at most.
        max_length, optimization: as for DPO; the rate is that of the imitation, and stays, as the release's does in its
            rounds (its imitation is a run of its own, with a cosine). Every weight is trained.
    """

    takes = TrajectoryBatch
    verbs = ("generates",)
    told: Tensor

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        betas: tuple[float, ...] = (0.1, 0.5, 0.5),
        imitation: float = 0.25,
        round_rates: tuple[float, ...] = (0.05, 0.025, 0.025),
        extra: int = 10,
        turns: int = 100,
        new: int = 64,
        max_length: int = 0,
        optimization: Optimization = ADAMW,
    ) -> None:
        super().__init__(model, Lora(), "frozen", max_length, optimization)
        if not 0 <= imitation <= 1:
            raise ValueError(f"imitation must be a share in [0, 1], got {imitation}")
        if len(betas) != len(round_rates) or any(b <= 0 for b in betas) or not betas:
            raise ValueError(f"betas and round_rates must have one positive number a round, got {betas}, {round_rates}")
        if min(extra, turns, new) < 1:
            raise ValueError(f"extra, turns and new must be at least 1, got {extra}, {turns} and {new}")
        share = (1 - imitation) / len(betas)
        rounds = [Phase(f"round {i + 1}", share, rate) for i, rate in enumerate(round_rates)]
        self.phases = (Phase("imitation", imitation), *rounds) if imitation < 1 else (Phase("imitation"),)
        self.betas, self.extra, self.turns, self.new = betas, extra, turns, new
        self.register_buffer("told", torch.zeros(0, dtype=torch.uint8))
        self._pairs: list[Any] = []

    def begin_phase(self, phase: str, data: Any) -> None:
        if phase == "imitation":
            return
        assert self.reference is not None
        self.reference.load_state_dict(self.policy.state_dict())
        found = explore(self.policy, data, new=self.new, turns=self.turns)
        text = json.dumps(trajectory_pairs(data, found, extra=self.extra)).encode()
        self.told = torch.frombuffer(bytearray(text), dtype=torch.uint8).to(self.policy.device)
        self.resumed(data)

    def resumed(self, data: Any) -> None:
        if len(self.told):
            self._pairs = json.loads(self.told.cpu().numpy().tobytes())

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        if f"{prefix}told" in state:
            self.told = torch.empty_like(state[f"{prefix}told"])
        super()._load_from_state_dict(state, prefix, *rest)

    def views(self, batch: Any) -> Any:
        if self.phase == "imitation" or not self._pairs:  # nothing to learn from where nothing failed
            replies = self.sequences(batch.prompts, [[each] for each in batch.experts])
            return Learnt(Judged(replies, torch.zeros(len(replies), 1, device=self.policy.device)), False, 0.0)
        pairs = [self._pairs[row % len(self._pairs)] for row in batch.rows.tolist()]  # the same on any number of ranks
        prompts, better, worse = zip(*pairs, strict=True)
        judged = self.judged(PairBatch([*prompts], [*better], [*worse], batch.rows))
        return Learnt(judged, True, self.betas[int(self.phase.removeprefix("round ")) - 1])

    def loss(self, views: Any) -> Tensor:
        judged, compared, beta = views
        policy = self.rated(judged)
        if compared:
            return dpo_loss(*policy.unbind(1), *judged.reference.unbind(1), beta=beta)
        return -policy.sum() / sum(len(said.counted()) for said in judged.replies)

    def generate(self, data: Any, *, seed: int = 0, new: int = 0) -> Iterator[dict[str, Any]]:
        """The conversation and the reward of each task of the data (of its held-out part where it has one), with the
        likeliest words, which no seed changes; ``new`` instead of the constructor's where it is not 0."""
        held: Trajectories = data.splits().get("test", data)
        found = explore(self.policy, held, new=new or self.new, turns=self.turns)
        for task, episode in zip(held.tasks, found, strict=True):
            yield {"task": task, "messages": episode.messages, "reward": episode.reward}

    def evaluate(self, data: Any, *, seed: int = 0) -> Scores:
        """``reward``: the mean over held-out tasks; ``success``: the share that earns as much as the expert;
        ``turns``: answers in an episode."""
        held: Trajectories = data.splits().get("test", data)
        found = explore(self.policy, held, new=self.new, turns=self.turns)
        rewards = np.array([each.reward for each in found])
        said = [sum(m["role"] == "assistant" for m in each.messages) for each in found]
        return Scores(
            {
                "reward": float(rewards.mean()),
                "success": float((rewards >= held.rewards).mean()),
                "turns": float(np.mean(said)),
            },
            lower=["turns"],
        )
