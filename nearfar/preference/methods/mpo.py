"""MPO: mixed preference optimization."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.losses import copg_loss, dpo_loss, reward_model_loss
from nearfar.preference.data.batches import PairBatch, RatedBatch
from nearfar.preference.method import Aligned, Judged
from nearfar.preference.online import Drawing, drawn
from nearfar.preference.policy import Lora, Policy, Said
from nearfar.sources.data import in_order
from nearfar.training import Optimization, Phase

ADAMW = Optimization("adamw", lr=1e-6, weight_decay=0.0, schedule="constant")


class Rater(nn.Module):
    """A language model with one number at the end of a reply: its reward (N,)."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = deepcopy(policy).requires_grad_(True)
        self.head = nn.Linear(policy.inner.get_input_embeddings().weight.shape[1], 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, replies: Sequence[Said]) -> Tensor:
        return self.head(self.policy.last(replies)).squeeze(1)


class Stage(NamedTuple):
    """What a step learns from, and for which part of the run."""

    name: str
    judged: Judged


class MPO(Aligned):
    """Gou & Nguyen, 2024, arXiv 2403.19443. Not the multimodal mixture of losses that trl calls MPO.

    A model of rewards is trained on all comparisons and splits them by how far apart it finds the two replies. DPO
    learns from those that are easy to tell; then the prompts of the difficult ones are practised by reinforcement, with
    the policy that DPO made as both the beginning and the reference. Nothing was released. The paper reinforces by PPO;
    here it is the leave-one-out policy gradient of :func:`nearfar.losses.copg_loss`, which needs no critic.

    Args:
        model: as for :class:`nearfar.preference.methods.dpo.DPO`.
        beta: strength of the KL penalty in both parts, above 0.
        easy: share of comparisons, those with the largest gaps, that DPO learns from, in (0, 1). The paper has a
            threshold on the gap for each data set. A gap of the wrong sign counts as difficult.
        drawing: replies to each difficult prompt in a step, two or more.
        phases: shares of the run: the model of rewards, DPO, and reinforcement with the rest.
        max_length, optimization: as for DPO. Every weight is trained.
    """

    takes = PairBatch
    gaps: Tensor

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        beta: float = 0.1,
        easy: float = 0.5,
        drawing: Drawing = Drawing(k=4),
        phases: tuple[float, float] = (0.3, 0.4),
        max_length: int = 0,
        optimization: Optimization = ADAMW,
    ) -> None:
        super().__init__(model, Lora(), "frozen", max_length, optimization)
        if not 0 < easy < 1:
            raise ValueError(f"easy must be a share in (0, 1), got {easy}")
        if drawing.k < 2:
            raise ValueError(
                f"a reply's baseline is another one's reward: drawing.k must be 2 or more, got {drawing.k}"
            )
        if len(phases) != 2 or min(phases) <= 0 or sum(phases) >= 1:
            raise ValueError(f"phases must be two shares above 0 that leave a rest, got {phases}")
        self.beta, self.easy, self.drawing = beta, easy, drawing
        self.phases = (Phase("rewards", phases[0]), Phase("dpo", phases[1]), Phase("reinforce"))
        self.rater = Rater(self.policy)
        self.register_buffer("gaps", torch.zeros(0))
        self._data: Any = None

    def begin(self, data: Any) -> None:
        self._data = data
        self.gaps = torch.zeros(len(data), device=self.policy.device)

    def resumed(self, data: Any) -> None:
        self._data = data

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        if f"{prefix}gaps" in state:
            self.gaps = torch.empty_like(state[f"{prefix}gaps"])
        super()._load_from_state_dict(state, prefix, *rest)

    def begin_phase(self, phase: str, data: Any) -> None:
        if phase == "dpo":
            with torch.no_grad():
                parts = [self.rater(self.replies(b)).view(-1, 2) for _, b in in_order(data, 64)]
            self.gaps = -torch.cat(parts).diff(dim=1).squeeze(1)
        if phase == "reinforce":
            assert self.reference is not None
            self.reference.load_state_dict(self.policy.state_dict())

    def views(self, batch: PairBatch | RatedBatch) -> Any:
        if self.phase == "rewards":
            return Stage("rewards", self.judged(batch))
        part = self._drawn(len(batch.rows))
        if self.phase == "dpo":
            return Stage("dpo", self.judged(part))
        found = drawn(self, part.prompts, self.drawing)
        return Stage("reinforce", found._replace(rewards=self.rater(found.replies).view(found.reference.shape)))

    def _drawn(self, count: int) -> Any:
        """So many comparisons of those that this phase learns from."""
        gaps = self.gaps
        easy = (gaps > gaps.quantile(1 - self.easy)) & (gaps > 0)
        pool = (easy if self.phase == "dpo" else ~easy).nonzero().squeeze(1)
        pool = pool if len(pool) else torch.arange(len(gaps), device=gaps.device)
        drawn_rows = pool[torch.randint(len(pool), (count,), generator=self.generator, device=self.generator.device)]
        return self._data.batch(drawn_rows.cpu().numpy())

    def loss(self, views: Any) -> Tensor:
        name, judged = views
        if name == "rewards":
            return reward_model_loss(*self.rater(judged.replies).view(-1, 2).unbind(1))
        policy = self.rated(judged)
        if name == "dpo":
            return dpo_loss(*policy.unbind(1), *judged.reference.unbind(1), beta=self.beta)
        return copg_loss(policy, judged.reference, judged.rewards, beta=self.beta)
