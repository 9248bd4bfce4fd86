"""IPO: identity preference optimization."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.losses import ipo_loss
from nearfar.preference.data.batches import PairBatch
from nearfar.preference.method import RMSPROP, Aligned, Judged, Reference
from nearfar.preference.policy import Lora
from nearfar.training import Optimization


class IPO(Aligned):
    """Azar et al., 2023, arXiv 2310.12036.

    The margin of log-ratios is drawn to ``1 / (2 tau)`` by a square instead of being pushed on for ever, so that
    comparisons that always come out the same cannot switch the KL penalty off. The authors released nothing; the form
    with sums is that of DPO's release, the one with means trl's, which the authors confirmed for language models.

    Args:
        model: as for :class:`nearfar.preference.methods.dpo.DPO`.
        tau: strength of the regularisation, above 0; smaller asks for a larger margin. Not comparable with DPO's beta.
        average: log-ratios as means over tokens, for replies of any length; sums otherwise, as for bandits.
        lora, reference, max_length, optimization: as for DPO.
    """

    takes = PairBatch

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        tau: float = 0.1,
        average: bool = True,
        lora: Lora = Lora(),
        reference: Reference = "frozen",
        max_length: int = 0,
        optimization: Optimization = RMSPROP,
    ) -> None:
        super().__init__(model, lora, reference, max_length, optimization)
        self.tau, self.average = tau, average

    def compare(self, policy: Tensor, judged: Judged) -> Tensor:
        lengths: list[Tensor | None] = [None, None]
        if self.average:
            counted = [len(said.reply) for said in judged.replies]
            lengths = [*torch.tensor(counted, device=policy.device).view(-1, 2).unbind(1)]
        return ipo_loss(
            *policy.unbind(1),
            *judged.reference.unbind(1),
            tau=self.tau,
            chosen_lengths=lengths[0],
            rejected_lengths=lengths[1],
        )
