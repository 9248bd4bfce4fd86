"""SimCSE: simple contrastive learning of sentence embeddings."""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor, nn

from nearfar.encoders.text import Pooling
from nearfar.losses import info_nce
from nearfar.text.method import TextBatch, TextMethod
from nearfar.training import Optimization
from nearfar.training.steps import Terms


class SimCSE(TextMethod):
    """Gao, Yao and Chen, 2021, EMNLP, arXiv 2104.08821.

    Unsupervised, a sentence must find itself under another dropout mask among the sentences of the batch.
    Supervised (the data has entailed and contradicting sentences), it must find the sentence it entails, and
    contradictions are negatives for everybody. One direction only, as in the released code.

    The head is used in training and dropped afterwards when unsupervised; supervised training keeps it.

    Args:
        encoder: sentence encoder, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        pooling: ``cls`` in the paper; ``avg`` is the stronger choice for encoders that were never pretrained.
        temperature: divides the cosine similarities, above 0.
        hard_negative_weight: added to the logit of a sentence's own contradiction (the logarithm of the paper's
            alpha, 0 there).
        head: put the paper's Linear + Tanh between encoder and loss.
        keep_head: whether :meth:`encode` goes through the head (the supervised setting).
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder, which is what makes the two views differ; the
            encoder's own (0.1 for BERT) when not given. With 0 the two views are equal.
        optimization: AdamW with linear decay and no warm-up, as released.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        pooling: Pooling = "cls",
        temperature: float = 0.05,
        hard_negative_weight: float = 0.0,
        head: bool = True,
        keep_head: bool = False,
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=3e-5, weight_decay=0.0, schedule="linear"),
    ) -> None:
        super().__init__(encoder, pooling, max_length, dropout, optimization)
        self.head = nn.Sequential(nn.Linear(self.features, self.features), nn.Tanh()) if head else nn.Identity()
        self.temperature, self.hard_negative_weight = temperature, hard_negative_weight
        self.keep_head = keep_head

    def views(self, batch: TextBatch) -> list[list[str]]:
        """Two or three lists of N sentences: anchors, positives (the anchors themselves when unsupervised),
        contradictions."""
        lists = [batch.sentences, batch.positives or batch.sentences, batch.negatives]
        return [sentences for sentences in lists if sentences]

    def loss(self, views: list[list[str]]) -> Terms:
        return self.contrast(*self.embedded(views))

    def embedded(self, views: list[list[str]]) -> tuple[Tensor, ...]:
        """Each list of the views, of all processes, through encoder and head: (N, D) each."""
        # One pass over all of them: equal sentences get different dropout masks.
        return self.gather(*self.head(self.encoder([*itertools.chain(*views)])).chunk(len(views)))

    def contrast(self, anchors: Tensor, positives: Tensor, contradictions: Tensor | None = None) -> Tensor:
        """Each anchor finds its positive among all positives and contradictions."""
        return info_nce(
            anchors,
            positives,
            temperature=self.temperature,
            hard_negatives=contradictions,
            hard_negative_bias=self.hard_negative_weight,
        )

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "head": self.head}) if self.keep_head else self.encoder

    def encode(self, batch: Any) -> Tensor:
        representation = super().encode(batch)
        return self.head(representation) if self.keep_head else representation
