"""Contrastive decoding, for open-ended text and for reasoning."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Branch, Look
from nearfar.decoding.engine.beams import contrastive_beams
from nearfar.decoding.method import Decoder, Model, Writing, opened
from nearfar.encoders.causal import CausalLM
from nearfar.losses import contrast_logits, contrastive_decoding


class ContrastiveDecoding(Decoder):
    """Li et al., 2022, arXiv 2210.15097, and O'Brien & Lewis, 2023, arXiv 2309.09117.

    An expert writes what it finds likely and a smaller amateur does not, among words that the expert finds plausible.
    ``text``, the form for open-ended text: ``log p_e - w s_a / temperature``, the amateur reading the last token of the
    prompt and what was written since, at positions from 0. ``reasoning``: ``(1 + w) s_e - w s_a`` with w 0.5, both
    reading everything. The released greedy mode of ``text`` has no plausibility constraint, although the paper has;
    here it does unless ``alpha`` is 0.

    An amateur of the expert's size costs as much again; the paper's for reasoning is 1.5B beside 65B.

    Args:
        model: the expert, as for :class:`nearfar.decoding.method.Decoder`.
        amateur: the smaller model, of the same vocabulary.
        form: as above.
        weight: w; when not given 1 for ``text``, 0.5 for ``reasoning``.
        alpha: words less plausible to the expert than this share of its best are never chosen, in [0, 1].
        temperature: of the amateur in ``text``, above 0: 0.5 for GPT-2.
        amateur_context: what the amateur reads of the prompt: its ``last_token``, or the ``full`` one; when not given
            by the form. Words that the tokenizer puts before a text are not among it.
        writing: how texts are continued. With ``beams`` above 1 ``text`` is the released contrastive beam search.
    """

    def __init__(
        self,
        model: Model | None = None,
        amateur: Model | None = None,
        *,
        form: Literal["text", "reasoning"] = "text",
        weight: float | None = None,
        alpha: float = 0.1,
        temperature: float = 0.5,
        amateur_context: Literal["last_token", "full"] | None = None,
        writing: Writing = Writing(),
    ) -> None:
        super().__init__(model, writing=writing)
        if form not in ("text", "reasoning"):
            raise ValueError(f"form must be text or reasoning, got {form!r}")
        self.amateur = opened(amateur, "amateur")
        one_vocabulary(self.lm, self.amateur)
        text = form == "text"
        self.form, self.alpha, self.temperature = form, alpha, temperature
        self.weight = (1.0 if text else 0.5) if weight is None else weight
        self.amateur_context = amateur_context or ("last_token" if text else "full")

    def branches(self, batch: PromptBatch) -> list[Branch]:
        expert = self.whole(batch)
        ids, mask = expert.ids, expert.mask
        if self.amateur_context == "last_token":
            ids, mask = ids[:, -1:], mask[:, -1:]
        device = self.amateur.model.device
        return [expert, Branch(self.amateur.model, ids.to(device), mask.to(device))]

    def combine(self, looks: list[Look]) -> Tensor:
        expert, amateur = looks[0].logits, looks[1].logits.to(looks[0].logits)
        expert, amateur = same_width(expert, amateur)
        if self.form == "text":
            return contrastive_decoding(
                expert, amateur, weight=self.weight, temperature=self.temperature, alpha=self.alpha
            )
        return contrast_logits(expert, amateur, weight=self.weight, alpha=self.alpha, min_keep=self.least)

    def write(self, batch: PromptBatch, *, generator: torch.Generator | None = None) -> list[list[int]]:
        if self.form != "text" or self.writing.beams == 1:
            return super().write(batch, generator=generator)
        branches = self.branches(batch)
        return [
            contrastive_beams(
                [branch.rows(torch.tensor([row])) for branch in branches],
                beams=self.writing.beams,
                new=self.writing.max_new_tokens,
                end=self.lm.tokenizer.eos_token_id,
                weight=self.weight,
                temperature=self.temperature,
                alpha=self.alpha,
            )
            for row in range(len(batch.prompts))
        ]


def one_vocabulary(expert: CausalLM, amateur: CausalLM) -> None:
    """Refuse an amateur whose words have other numbers.

    Raises:
        ValueError: the tokenizers differ.
    """
    mine, its = expert.tokenizer.get_vocab(), amateur.tokenizer.get_vocab()
    if mine == its:
        return
    odd = min(word for word in {**mine, **its} if mine.get(word) != its.get(word))
    raise ValueError(
        f"expert and amateur must share one tokenizer: {odd!r} is {mine.get(odd, 'no word')} to the expert and "
        f"{its.get(odd, 'no word')} to the amateur"
    )


def same_width(expert: Tensor, amateur: Tensor) -> tuple[Tensor, Tensor]:
    """Logits over the words that both tables have: models of a family pad theirs to different sizes."""
    width = min(expert.shape[-1], amateur.shape[-1])
    return expert[..., :width], amateur[..., :width]
