"""HICD: hallucination induced by dispersed attention, to be contrasted with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from nearfar.decoding.data.prompts import PromptBatch, Prompts
from nearfar.decoding.engine import Branch, Look, Place
from nearfar.decoding.engine.hooks import Heads, dispersed, importance
from nearfar.decoding.method import Decoder, Model, Writing
from nearfar.losses import contrast_logits, inducing_heads


class HICD(Decoder):
    """Jiang et al., 2025, Findings of ACL, arXiv 2503.12908.

    The model against itself with dispersed attention in the heads that right answers rest on,
    ``(1 + w) log p - w log p_dispersed``, with the same prompt in both. Heads are chosen on prompts with a right and a
    wrong answer (columns ``answer`` and ``other``), which should not be those that are measured: of a set with a
    held-out part, the rest is used, and :meth:`choose` takes any.

    The release writes two texts that do not know each other and joins their scores afterwards; here both branches read
    the same words. It disperses only in passes of several words, which ``steps="prompt"`` does too.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`; layers need ``q_proj`` and ``o_proj``.
        weight: w: 1.1 on HellaSwag, 0.7 to 1.3 elsewhere, 0.38 to 2 for long texts.
        heads: (layer, head) to disperse; chosen from the data when not given.
        count: how many heads are chosen: 30 or 70 of 1,024 in the paper, a few in small models.
        scale: weight of the difference between right and wrong answers in the choice.
        items: prompts that the choice looks at, at most.
        how: ``ave`` lets the heads look everywhere alike; ``cut`` silences them, the paper's comparison.
        steps: disperse in ``all`` passes, or in that of the ``prompt`` alone.
        alpha: words less plausible than this share of the best are never chosen, in [0, 1]; the paper has no such rule.
        writing: how texts are continued.
    """

    def __init__(
        self,
        model: Model | None = None,
        *,
        weight: float = 1.1,
        heads: tuple[tuple[int, int], ...] = (),
        count: int = 30,
        scale: float = 20.0,
        items: int = 200,
        how: Literal["ave", "cut"] = "ave",
        steps: Literal["all", "prompt"] = "all",
        alpha: float = 0.0,
        writing: Writing = Writing(),
    ) -> None:
        super().__init__(model, writing=writing)
        self.weight, self.count, self.scale, self.items = weight, count, scale, items
        self.how, self.steps, self.alpha = how, steps, alpha
        self.heads: Heads = [(int(layer), int(head)) for layer, head in heads]

    def prepare(self, data: Any) -> None:
        if not self.heads and isinstance(data, Prompts):
            self.heads = self.choose(data)

    def importances(self, data: Prompts) -> tuple[Tensor, Tensor]:
        """Each head's importance (L, H) for the right and for the wrong answers.

        Raises:
            ValueError: prompts without either.
        """
        usable = [
            row
            for row in range(len(data))
            if data.answers is not None and data.others is not None and data.answers[row] and data.others[row]
        ]
        if not usable:
            raise ValueError("HICD chooses heads on right and wrong answers: give columns answer and other, or heads")
        few = [usable[i] for i in np.linspace(0, len(usable) - 1, min(self.items, len(usable))).astype(int)]
        batch = data.batch(np.array(few))
        found = [importance(self.whole(batch), *self.answer_words(texts)) for texts in (batch.answers, batch.others)]
        return found[0], found[1]

    def choose(self, data: Prompts) -> Heads:
        """The inducing heads of prompts with answers, best first."""
        return inducing_heads(*self.importances(data), scale=self.scale, count=self.count)

    def branches(self, batch: PromptBatch) -> list[Branch]:
        if not self.heads:
            raise ValueError("HICD has no heads yet: give heads, or let it choose() them on prompts with answers")
        own = self.whole(batch)
        return [own, replace(own, touch=self.touch)]

    def touch(self, place: Place) -> AbstractContextManager[Any]:
        if place.last is None and self.steps == "prompt":
            return nullcontext()
        return partial(dispersed, how=self.how)(place, self.heads)

    def combine(self, looks: list[Look]) -> Tensor:
        own, induced = (look.logits.log_softmax(-1) for look in looks)
        return contrast_logits(own, induced, weight=self.weight, alpha=self.alpha, min_keep=self.least)


def random_heads(heads: Heads, layers: int, per_layer: int, seed: int) -> tuple[tuple[int, int], ...]:
    """As many heads drawn at random: the control that a choice has to beat."""
    drawn = torch.randperm(layers * per_layer, generator=torch.Generator().manual_seed(seed))[: len(heads)]
    return tuple(divmod(int(i), per_layer) for i in drawn)
