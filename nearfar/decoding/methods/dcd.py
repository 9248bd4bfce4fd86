"""DCD: decoupling contrastive decoding."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Branch, Look, Place, forced_looks
from nearfar.decoding.engine.hooks import projected
from nearfar.decoding.learned import LearnedDecoder
from nearfar.decoding.method import Model, Writing, picked
from nearfar.losses import contrast_logits
from nearfar.training import Optimization


class DualProjector(nn.Module):
    """Two copies of a model's projector from pictures to words."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.positive, self.negative = copy.deepcopy(base), copy.deepcopy(base)
        self.requires_grad_(True)


class DCD(LearnedDecoder):
    """Chen et al., 2025, NeurIPS, arXiv 2504.08809. The code could not be obtained; details the card is unsure of are
    settings.

    Instead of comparing answers in pairs, two copies of the projector learn apart: one to give preferred answers, one
    to give dispreferred ones, of the same picture. While writing, the second is what the first is contrasted with,
    ``(1 + w) s(y | x, P+(v)) - w s(y | x, P-(v))``. Vision tower and language model stay as they are. The two losses
    have no weight in common, so that training them in one step is training them in two runs.

    Args:
        model: a vision-language model with a ``multi_modal_projector``, such as LLaVA.
        variant: ``both`` learns two projectors; ``negative`` keeps the model's own as the positive one.
        weight: w, at least 0.
        alpha: words less plausible to the positive branch than this share of the best are never chosen, in [0, 1].
        writing: how texts are continued.
        optimization: of the projectors; the paper's rate is not known.
    """

    beams = False
    needs: ClassVar[Mapping[str, str]] = {"images": "contrasts two ways to read a picture"}

    def __init__(
        self,
        model: Model | None = None,
        *,
        variant: Literal["both", "negative"] = "both",
        weight: float = 1.0,
        alpha: float = 0.1,
        writing: Writing = Writing(),
        optimization: Optimization = Optimization("adamw", lr=2e-5, weight_decay=0.0, warmup=0.03),
    ) -> None:
        super().__init__(model, writing, optimization)
        base = getattr(self.lm.model.base_model, "multi_modal_projector", None)
        if base is None:
            raise ValueError(f"DCD needs a multi_modal_projector, which a {type(self.lm.model).__name__} has not")
        self.encoder: DualProjector = DualProjector(base)
        if variant == "negative":
            self.encoder.positive.requires_grad_(False)
        self.variant, self.weight, self.alpha = variant, weight, alpha

    def branches(self, batch: PromptBatch) -> list[Branch]:
        own = self.whole(batch)
        return [replace(own, touch=partial(_through, projector=p)) for p in self.encoder.children()]

    def combine(self, looks: list[Look]) -> Tensor:
        positive, negative = (look.logits for look in looks)
        return contrast_logits(positive, negative, weight=self.weight, alpha=self.alpha)

    def loss(self, views: PromptBatch) -> dict[str, Tensor]:
        usable = torch.tensor([row for row, other in enumerate(views.others) if other], dtype=torch.long)
        if not len(usable):
            raise ValueError("DCD learns from answers and others, and no prompt of this batch has an other")
        batch = picked(views, usable)
        positive, negative = self.branches(batch)
        found = {"negative": self.nll(negative, batch.others)}
        if self.variant == "both":
            found["positive"] = self.nll(positive, batch.answers)
        return found

    def nll(self, branch: Branch, answers: list[str]) -> Tensor:
        """Mean over words of ``-log p``."""
        words, mask = self.answer_words(answers, end=True)
        (look,) = forced_looks([branch], words, mask)
        logp = look.logits.log_softmax(-1).gather(-1, words[..., None]).squeeze(-1)
        return -(logp * mask).sum() / mask.sum()


def _through(place: Place, projector: nn.Module) -> Any:
    return projected(place, projector)
