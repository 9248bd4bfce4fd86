"""ACD: adversarial contrastive decoding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Branch, Look, forced_looks
from nearfar.decoding.learned import LearnedDecoder
from nearfar.decoding.method import Model, Writing, joined, picked
from nearfar.encoders.causal import left_padded, token_rows
from nearfar.losses import contrast_logits
from nearfar.training import Optimization


class OppositePrompts(nn.Module):
    """Two soft prompts (n, D) in the space of a model's word embeddings."""

    def __init__(self, safe: Tensor, adverse: Tensor) -> None:
        super().__init__()
        self.safe, self.adverse = nn.Parameter(safe.clone()), nn.Parameter(adverse.clone())


class ACD(LearnedDecoder):
    """2024, arXiv 2406.16743. No code was released; this is a reconstruction, and its weights are settings.

    Two opposite soft prompts are learned on a few requests with a wanted and an unwanted reply each, and on harmless
    ones: under the safe prompt the wanted replies become likely and the unwanted ones unlikely, under the adverse
    prompt the other way round, and harmless requests are answered as ever under both. Text is written by
    ``log p(y | safe, x) - w log p(y | adverse, x)``. The two prompts share no weight, so they learn apart.

    Requests without an unwanted reply (column ``other``) count as harmless. The library ships neutral made-up words
    only.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`.
        length: words of each soft prompt.
        safe_text, adverse_text: hand-written opposite prompts that the soft ones begin as, repeated or cut to
            ``length``; words of the vocabulary drawn at random where empty.
        unlikelihood: weight of the unlikelihood of the unwanted reply, at least 0.
        harmless: weight of the harmless requests in both losses, at least 0.
        weight: w, in (0, 1).
        alpha: words less plausible under the safe prompt than this share of the best are never chosen, in [0, 1].
        writing: how texts are continued.
        optimization: AdamW, for the prompts alone.
    """

    beams = False

    def __init__(
        self,
        model: Model | None = None,
        *,
        length: int = 20,
        safe_text: str = "",
        adverse_text: str = "",
        unlikelihood: float = 0.5,
        harmless: float = 1.0,
        weight: float = 0.4,
        alpha: float = 0.0,
        writing: Writing = Writing(),
        optimization: Optimization = Optimization("adamw", lr=1e-3, weight_decay=0.0),
    ) -> None:
        super().__init__(model, writing, optimization)
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        self.unlikelihood, self.harmless, self.weight, self.alpha = unlikelihood, harmless, weight, alpha
        self.encoder: OppositePrompts = OppositePrompts(
            *(self.embedded(text, length) for text in (safe_text, adverse_text))
        )

    def embedded(self, text: str, length: int) -> Tensor:
        """The embeddings of a text, repeated or cut to a length."""
        table = self.lm.model.get_input_embeddings().weight.detach().float()
        if not text:
            return table[torch.randint(len(table), (length,))]
        (ids,) = token_rows(self.lm, [text])
        return table[torch.tensor((ids * length)[:length])]

    def under(self, prompt: Tensor, batch: PromptBatch) -> Branch:
        """The prompts of a batch after a soft prompt."""
        rows = token_rows(self.lm, joined(batch.prompts, batch.contexts), new=self.writing.max_new_tokens + len(prompt))
        model = self.lm.model
        pad = self.lm.tokenizer.pad_token_id
        ids, mask = left_padded([[pad] * len(prompt) + row for row in rows], pad, device=model.device)
        embeds = model.get_input_embeddings()(ids).clone()
        for row, words in enumerate(rows):
            first = ids.shape[1] - len(words) - len(prompt)
            embeds[row, first : first + len(prompt)] = prompt.to(embeds)
        return Branch(model, ids, mask, embeds=embeds)

    def branches(self, batch: PromptBatch) -> list[Branch]:
        return [self.under(self.encoder.safe, batch), self.under(self.encoder.adverse, batch)]

    def combine(self, looks: list[Look]) -> Tensor:
        safe, adverse = (look.logits for look in looks)
        return contrast_logits(safe, adverse, weight=self.weight, form="difference", alpha=self.alpha)

    def loss(self, views: PromptBatch) -> dict[str, Tensor]:
        forbidden = torch.tensor([row for row, other in enumerate(views.others) if other], dtype=torch.long)
        fine = torch.tensor([row for row, other in enumerate(views.others) if not other], dtype=torch.long)
        asked, other = picked(views, forbidden), picked(views, fine)
        found = {}
        for name, prompt in (("safe", self.encoder.safe), ("adverse", self.encoder.adverse)):
            wanted, unwanted = (asked.answers, asked.others) if name == "safe" else (asked.others, asked.answers)
            total = prompt.sum() * 0
            if len(forbidden):
                total = total + self.nll(prompt, asked, wanted)
                total = total + self.unlikelihood * self.nll(prompt, asked, unwanted, unlikely=True)
            if len(fine):
                total = total + self.harmless * self.nll(prompt, other, other.answers)
            found[name] = total
        return found

    def nll(self, prompt: Tensor, batch: PromptBatch, answers: list[str], *, unlikely: bool = False) -> Tensor:
        """Mean over words of ``-log p``, or of ``-log(1 - p)`` with 1 - p at least 1e-6."""
        words, mask = self.answer_words(answers, end=True)
        (look,) = forced_looks([self.under(prompt, batch)], words, mask)
        logp = look.logits.log_softmax(-1).gather(-1, words[..., None]).squeeze(-1)
        each = -(1 - logp.exp()).clamp_min(1e-6).log() if unlikely else -logp
        return (each * mask).sum() / mask.sum()
