"""NCA and InfoNCA: noise contrastive alignment."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nearfar.losses import infonca_loss, nca_loss
from nearfar.losses._checks import choice
from nearfar.preference.data.batches import RatedBatch
from nearfar.preference.method import Aligned, Judged, Reference
from nearfar.preference.policy import Lora
from nearfar.training import Optimization

RELEASED = Optimization("adamw", lr=5e-6, weight_decay=0.0, warmup=0.1)


class NCA(Aligned):
    """Chen et al., 2024, arXiv 2402.05369.

    From K replies with rewards. InfoNCA asks which of the replies is the good one, by a softmax over them; with two
    replies and hard labels that is DPO. NCA asks of each reply by itself whether it is a good one, so that the level of
    its likelihood is fixed and not only differences: better replies become likelier than under the reference.

    Args:
        model: as for :class:`nearfar.preference.methods.dpo.DPO`.
        form: ``nca`` or ``infonca``.
        beta: of the implicit rewards, above 0: a tenth of DPO's, because they must stay where a sigmoid is not flat.
        temperature: of the rewards, above 0: the inverse of the paper's alpha. The released 1e-4 makes hard labels of
            any rewards; soft ones need about the rewards' own scale.
        tie: added to the reward of each prompt's first reply, which decides ties, as in the release (whose first reply
            is the best); 0 for none.
        lora: as for DPO; the release has rank 16 and alpha 16 on all linear layers, over 4-bit weights.
        reference, max_length: as for DPO.
        optimization: AdamW 5e-6 along a cosine by default, as released.
    """

    takes = RatedBatch

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        form: Literal["nca", "infonca"] = "nca",
        beta: float = 0.01,
        temperature: float = 1e-4,
        tie: float = 0.0,
        lora: Lora = Lora(),
        reference: Reference = "frozen",
        max_length: int = 0,
        optimization: Optimization = RELEASED,
    ) -> None:
        super().__init__(model, lora, reference, max_length, optimization)
        self.form, self.beta, self.temperature, self.tie = (
            choice("form", form, ("nca", "infonca")),
            beta,
            temperature,
            tie,
        )

    def compare(self, policy: Tensor, judged: Judged) -> Tensor:
        assert judged.rewards is not None
        rewards = judged.rewards + self.tie * (torch.arange(policy.shape[1], device=policy.device) == 0)
        loss = nca_loss if self.form == "nca" else infonca_loss
        return loss(policy, judged.reference, rewards, beta=self.beta, temperature=self.temperature)
