"""CAD: context-aware decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Branch, Look
from nearfar.decoding.method import Decoder, Model, Writing
from nearfar.losses import contrast_logits


class CAD(Decoder):
    """Shi et al., 2023, arXiv 2305.14739.

    What the context changes is made larger: the model with its context against the same model without,
    ``(1 + w) s(y | context, prompt) - w s(y | prompt)``. New words go to both. Where context and memory agree it
    over-corrects; :class:`AdaCAD` does so less. There is no plausibility constraint in the paper.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`.
        weight: w, at least 0: 1 for short answers (NQ-Swap), 0.5 for summaries, as released.
        alpha: words less plausible with the context than this share of the best are never chosen, in [0, 1]; 0 for no
            constraint.
        writing: how texts are continued; the paper is greedy for answers and draws summaries with ``top_p`` 0.9.
    """

    needs: ClassVar[Mapping[str, str]] = {"contexts": "contrasts a prompt with and without its context"}

    def __init__(
        self,
        model: Model | None = None,
        *,
        weight: float = 1.0,
        alpha: float = 0.0,
        writing: Writing = Writing(),
    ) -> None:
        super().__init__(model, writing=writing)
        self.weight, self.alpha = weight, alpha

    def branches(self, batch: PromptBatch) -> list[Branch]:
        return [self.whole(batch), self.whole(batch._replace(contexts=[""] * len(batch.prompts)))]

    def combine(self, looks: list[Look]) -> Tensor:
        told, untold = (look.logits for look in looks)
        return contrast_logits(told, untold, weight=self.weight, alpha=self.alpha, min_keep=self.least)
