"""DoLa: decoding by contrasting layers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Look, early_layers
from nearfar.decoding.method import Decoder, Model, Writing, final_norm
from nearfar.losses import choice_logp, dola, plausible


class DoLa(Decoder):
    """Chuang et al., 2023, arXiv 2309.03883.

    What the last layer says less what an earlier layer says, which is chosen anew for every word: the one whose words
    differ most. Among words that the last layer finds plausible. The earlier layer's states go to the head without the
    model's final norm, as released. Each row of a batch has its own layer; the release, with one row, takes one for the
    batch. Answers are rated as the release does for FACTOR: normalised over all words, forbidden ones at -1000.

    In models of few layers there is hardly an early half, and contrast helps little. It needs the states of the model
    that writes, so no beam search.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`.
        layers: candidates: the ``low`` half for reasoning and long answers, the ``high`` half for short facts.
        only: layers by number instead, 0 being the embedding.
        alpha: words less plausible to the last layer than this share of its best are never chosen, in [0, 1].
        divergence: ``released``, or the paper's ``jsd``; see :func:`nearfar.losses.dola`.
        apply_final_norm: norm the earlier layers' states first.
        writing: how texts are continued; the paper's repetition penalty is 1.2.
    """

    beams = False

    def __init__(
        self,
        model: Model | None = None,
        *,
        layers: Literal["low", "high"] = "low",
        only: tuple[int, ...] = (),
        alpha: float = 0.1,
        divergence: Literal["released", "jsd"] = "released",
        apply_final_norm: bool = False,
        writing: Writing = Writing(repetition_penalty=1.2),
    ) -> None:
        super().__init__(model, writing=writing)
        self.early = early_layers(self.lm.model, only or layers)
        self.alpha, self.divergence = alpha, divergence
        self.norm = final_norm(self.lm.model) if apply_final_norm else None

    def contrasted(self, looks: list[Look], alpha: float) -> tuple[Tensor, Tensor]:
        """Scores (..., V) and which candidate was taken (...)."""
        early = looks[0].early
        assert early is not None
        return dola(looks[0].logits, early, alpha=alpha, divergence=self.divergence)

    def combine(self, looks: list[Look]) -> Tensor:
        return self.contrasted(looks, self.alpha)[0]

    @torch.no_grad()
    def logp(self, batch: PromptBatch, answers: list[str]) -> Tensor:  # type: ignore[override]
        looks, words = self.forced_looks(batch, answers)
        logp = self.contrasted(looks, 0.0)[0].log_softmax(-1)
        kept = plausible(looks[0].logits, self.alpha)
        return choice_logp(logp.masked_fill(~kept, -torch.inf), words, normalize=False)
