"""HyPO: hybrid preference optimization."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from nearfar.losses import dpo_loss, online_kl_loss
from nearfar.preference.data.batches import PairBatch, RatedBatch
from nearfar.preference.method import Aligned, Judged, Reference
from nearfar.preference.online import Drawing, drawn
from nearfar.preference.policy import Lora
from nearfar.training import Optimization

ADAMW = Optimization("adamw", lr=1e-6, weight_decay=0.0, schedule="linear", warmup=0.1)


class Mixed(NamedTuple):
    """Compared replies, and replies of the policy's own."""

    pairs: Judged
    own: Judged


class HyPO(Aligned):
    """Song et al., 2024, NeurIPS, arXiv 2406.01462.

    Comparisons hold a policy near its reference only at the replies that were compared. HyPO adds what DPO's penalty
    leaves out elsewhere: the KL divergence from the reference, estimated from the policy's own replies to the same
    prompts. No model of rewards and no labels for these replies. Not "Hybrid-DPO" (2602.11902). The authors' code was
    not to be had; the numbers marked so are from memory.

    Args:
        model: as for :class:`nearfar.preference.methods.dpo.DPO`.
        beta: of DPO, above 0 (0.05 in the paper's summaries, from memory).
        kl: weight of the divergence, at least 0 (1e-4 there, from memory); its size goes with the replies' length.
        drawing: replies to each prompt; with two or more, each one's baseline is the mean of the others.
        label_smoothing: as for DPO.
        lora, reference, max_length, optimization: as for DPO.
    """

    takes = PairBatch

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        beta: float = 0.05,
        kl: float = 1e-4,
        drawing: Drawing = Drawing(),
        label_smoothing: float = 0.0,
        lora: Lora = Lora(),
        reference: Reference = "frozen",
        max_length: int = 0,
        optimization: Optimization = ADAMW,
    ) -> None:
        super().__init__(model, lora, reference, max_length, optimization)
        if kl < 0:
            raise ValueError(f"kl must be at least 0, got {kl}")
        self.beta, self.kl, self.drawing, self.label_smoothing = beta, kl, drawing, label_smoothing

    def views(self, batch: PairBatch | RatedBatch) -> Any:
        return Mixed(super().views(batch), drawn(self, batch.prompts, self.drawing))

    def loss(self, views: Any) -> dict[str, Tensor]:
        own = online_kl_loss(
            self.rated(views.own), views.own.reference, baseline="loo" if self.drawing.k > 1 else "none"
        )
        return {"dpo": self.compare(self.rated(views.pairs), views.pairs), "kl": self.kl * own}

    def compare(self, policy: Tensor, judged: Judged) -> Tensor:
        return dpo_loss(
            *policy.unbind(1), *judged.reference.unbind(1), beta=self.beta, label_smoothing=self.label_smoothing
        )
