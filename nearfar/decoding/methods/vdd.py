"""VDD: debiasing vision-language models."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Branch, Look, Streams
from nearfar.decoding.method import Decoder, Model, Writing
from nearfar.decoding.methods.vcd import VCD
from nearfar.decoding.pictures import unseen
from nearfar.losses import contrast_logits, posthoc_debias


class VDD(Decoder):
    """Zhang et al., 2024, arXiv 2403.05262.

    What the words alone suggest is taken away: ``(1 + w) s(picture) - w s(no picture)``, where the picture is left out
    of the prompt (``none``), replaced by an unknown word (``unk``), or the mean of both logits is taken (``both``).
    Closed questions can be calibrated after the fact instead: :meth:`debiased` divides the labels' probabilities by
    those without a picture.

    Args:
        model: a vision-language model, as for :class:`nearfar.decoding.method.Decoder`.
        weight: w: 1 in the released sampling scripts, 0.5 where nothing is said.
        alpha: words less plausible with the picture than this share of the best are never chosen, in [0, 1]; 0.2 in the
            sampling scripts.
        without: how the picture is taken away.
        writing: how texts are continued; the paper samples.
    """

    needs = VCD.needs

    def __init__(
        self,
        model: Model | None = None,
        *,
        weight: float = 0.5,
        alpha: float = 0.1,
        without: Literal["none", "unk", "both"] = "none",
        writing: Writing = Writing(sample=True),
    ) -> None:
        super().__init__(model, writing=writing)
        if without not in ("none", "unk", "both"):
            raise ValueError(f"without must be none, unk or both, got {without!r}")
        self.weight, self.alpha, self.without = weight, alpha, without

    def branches(self, batch: PromptBatch) -> list[Branch]:
        ways = {"none": (False,), "unk": (True,), "both": (False, True)}[self.without]
        blind = batch._replace(images=None)
        return [self.whole(batch), *(self.blind(blind, unknown) for unknown in ways)]

    def blind(self, batch: PromptBatch, unknown: bool) -> Branch:
        """The prompts without their pictures."""
        texts = [f"{c}\n{p}" if c else p for p, c in zip(batch.prompts, batch.contexts, strict=True)]
        return unseen(self.lm, texts, unknown=unknown, new=self.writing.max_new_tokens)

    def combine(self, looks: list[Look]) -> Tensor:
        blind = torch.stack([look.logits for look in looks[1:]]).mean(0)
        return contrast_logits(looks[0].logits, blind, weight=self.weight, alpha=self.alpha, min_keep=self.least)

    @torch.no_grad()
    def debiased(
        self,
        batch: PromptBatch,
        labels: list[str],
        *,
        mode: Literal["diagonal", "identity"] = "diagonal",
        pooled: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Probabilities (N, C) of one-word labels as the first new word, calibrated and raw.

        Args:
            labels: C answers to choose from; of each the first token counts.
            mode, pooled: see :func:`nearfar.losses.posthoc_debias`.
        """
        words = [self.lm.tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in labels]
        looks = [look.logits.softmax(-1)[:, words] for look in Streams(self.branches(batch)).start()]
        raw = looks[0] / looks[0].sum(-1, keepdim=True)
        return posthoc_debias(looks[0], torch.stack(looks[1:]).sum(0), mode=mode, pooled=pooled), raw
