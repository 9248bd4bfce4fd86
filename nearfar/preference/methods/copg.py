"""CoPG: contrastive policy gradient."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nearfar.losses import copg_loss
from nearfar.preference.data.batches import PairBatch, RatedBatch
from nearfar.preference.method import Aligned, Judged, Reference
from nearfar.preference.online import Drawing, Rewards, judge, rewards_of
from nearfar.preference.policy import Lora
from nearfar.training import Optimization

ADAMW = Optimization("adamw", lr=1e-6, weight_decay=0.0, schedule="constant", warmup=0.1)


class CoPG(Aligned):
    """Flet-Berliac et al., 2024, arXiv 2406.19185.

    A policy gradient for rewards of whole replies that may come from anywhere: of two replies to a prompt, each one's
    baseline is the other's regularised reward. No critic and no importance weights. The rewards of replies may be
    recorded, or be given to replies that the policy draws while it trains. Nothing was released; the loss is the
    squared difference of regularised rewards, whose scale here gives the policy gradient its own unit.

    Args:
        model: as for :class:`nearfar.preference.methods.dpo.DPO`.
        beta: strength of the KL penalty, above 0.
        online: draw the replies from the policy in every step and let the data's world or its ``reward`` rate them.
        drawing: how many, and how long they may be.
        lora, reference, max_length, optimization: as for DPO; the paper trains as IPO.
    """

    takes = RatedBatch

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        beta: float = 0.1,
        online: bool = False,
        drawing: Drawing = Drawing(k=2),
        lora: Lora = Lora(),
        reference: Reference = "frozen",
        max_length: int = 0,
        optimization: Optimization = ADAMW,
    ) -> None:
        super().__init__(model, lora, reference, max_length, optimization)
        if online and drawing.k < 2:
            raise ValueError(
                f"a reply's baseline is another one's reward: drawing.k must be 2 or more, got {drawing.k}"
            )
        self.beta, self.online, self.drawing = beta, online, drawing
        self._rewards: Rewards | None = None

    def begin(self, data: Any) -> None:
        super().begin(data)
        self.resumed(data)

    def resumed(self, data: Any) -> None:
        if self.online:
            self._rewards = rewards_of(data)

    def views(self, batch: PairBatch | RatedBatch) -> Judged:
        if not self.online:
            return super().views(batch)
        assert self._rewards is not None
        return judge(self, batch.prompts, self.drawing, self._rewards)

    def compare(self, policy: Tensor, judged: Judged) -> Tensor:
        assert judged.rewards is not None
        return copg_loss(policy, judged.reference, judged.rewards, beta=self.beta)
