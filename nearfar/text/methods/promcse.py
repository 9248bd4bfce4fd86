"""PromCSE: sentence embeddings from a frozen language model and a learned prefix."""

from __future__ import annotations

from torch import nn

from nearfar.encoders.prefix import add_prefixes
from nearfar.encoders.text import Pooling
from nearfar.losses import energy_hinge
from nearfar.text.methods.simcse import SimCSE
from nearfar.training import Optimization
from nearfar.training.steps import Terms


class PromCSE(SimCSE):
    """Jiang, Zhang and Wang, 2022, Findings of EMNLP, arXiv 2203.06875.

    The language model is frozen. Every attention layer gets a few learned keys and values, a deep soft prompt, and
    only these and the head are trained, as SimCSE trains everything. With contradictions a hinge is added between an
    anchor's positive and the nearest wrong sentence of the batch, on cosines without temperature:
    ``loss = SimCSE + hinge_weight * hinge``. Without contradictions there is no hinge, as released.

    Two things are unlike the release. Tokens keep their positions: there a token comes ``prefix`` places later, because
    transformers counted the prefix as tokens of before. And the prefix is always a plain table; the optional
    network that computes it was off in the released runs.

    Args:
        encoder: sentence encoder that stays as it is, by name (``hf:<model>``) or as a ``TextEncoder`` of a BERT-like
            model.
        prefix: learned places before each layer's keys and values: 16 without supervision, 10 with it, as released.
        hinge_weight: weight of the hinge, at least 0; 0 leaves it out.
        hinge_margin: its margin, at least 0.
        pooling: how token states become one vector.
        temperature: divides the cosine similarities, above 0.
        hard_negative_weight: added to the logit of a sentence's own contradiction.
        head: put a Linear + Tanh between encoder and loss.
        keep_head: whether :meth:`encode` goes through the head (the supervised setting).
        max_length: tokens kept per sentence.
        dropout: probability of every dropout, in the encoder and on the prefix; the encoder's own and 0.1 when not
            given.
        optimization: AdamW with linear decay; the rate is a thousand times SimCSE's, as only the prefix moves (5e-3
            with supervision).
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        prefix: int = 16,
        hinge_weight: float = 10.0,
        hinge_margin: float = 0.2,
        pooling: Pooling = "cls",
        temperature: float = 0.05,
        hard_negative_weight: float = 0.0,
        head: bool = True,
        keep_head: bool = False,
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=3e-2, weight_decay=0.0, schedule="linear"),
    ) -> None:
        super().__init__(
            encoder,
            pooling=pooling,
            temperature=temperature,
            hard_negative_weight=hard_negative_weight,
            head=head,
            keep_head=keep_head,
            max_length=max_length,
            dropout=dropout,
            optimization=optimization,
        )
        if hinge_weight < 0:
            raise ValueError(f"hinge_weight must be at least 0, got {hinge_weight}")
        self.hinge_weight, self.hinge_margin = hinge_weight, hinge_margin
        add_prefixes(self.encoder.model, prefix, 0.1 if dropout is None else dropout)

    def loss(self, views: list[list[str]]) -> Terms:
        embedded = self.embedded(views)
        terms = {"contrast": self.contrast(*embedded)}
        if len(embedded) > 2 and self.hinge_weight:
            terms["hinge"] = self.hinge_weight * energy_hinge(*embedded, margin=self.hinge_margin)
        return terms
