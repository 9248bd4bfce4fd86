"""Texts against labels that are texts: what the primer on contrastive pretraining calls input-label contrast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders.text import Pooling
from nearfar.losses import binary_nce, ranking_nce
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.text.data.named import Named
from nearfar.text.labels_as_texts import Candidates, LabelMatcher, Matching, pseudo_labels
from nearfar.text.method import TextBatch, TextMethod
from nearfar.training import Data, Optimization


class Views(NamedTuple):
    """N sentences with words in the place of labels, and the number of each one's label (N,), -1 where it has none."""

    sentences: list[str]
    words: Candidates | None
    named: Tensor


class InputLabel(TextMethod):
    """After Rethmeier and Augenstein, 2022, ACM Computing Surveys, arXiv 2102.12982.

    An encoder reads a text and, by itself, what may be said of it; a matcher tells whether it is. Without labels the
    words of a text are said of it, and words of other texts are not, so that no text has to be changed to learn from
    it. With labels their names are. The matcher stays the same from the first to the last, so that it tells labels
    that it was never trained on (zero-shot), and goes on learning where a few come. Rank its scores: where labels are
    many, one above 0 says little.

    The primer reviews such methods and has no settings of its own; those here are ours, and words are drawn from the
    batch instead of all texts.

    Args:
        encoder: text encoder, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        names: every label; those of the data when not given. Without any, only words are learned.
        labels: ``read`` by the encoder, or ``free``, a vector of its own for each label, which is the usual new head.
        matching: how texts and labels are compared.
        objective: ``binary`` tells each label by itself, ``ranking`` among the others.
        words_weight: weight of the words in the place of labels, at least 0.
        names_weight: weight of labels, at least 0.
        positives: words of each text, at least 1.
        negatives: further words of the batch, at least 0.
        power: how much more often frequent words are drawn, at least 0.
        pooling: how token states become one vector.
        max_length: tokens kept per text.
        dropout: of the encoder; its own when not given.
        optimization: AdamW with linear decay.
    """

    verbs = ("embeds", "predicts")

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        names: Sequence[str] | None = None,
        labels: Literal["read", "free"] = "read",
        matching: Matching = "cosine",
        objective: Literal["binary", "ranking"] = "binary",
        words_weight: float = 1.0,
        names_weight: float = 1.0,
        positives: int = 3,
        negatives: int = 100,
        power: float = 0.75,
        pooling: Pooling = "avg",
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=3e-5, weight_decay=0.0, warmup=0.05, schedule="linear"),
    ) -> None:
        super().__init__(encoder, pooling, max_length, dropout, optimization)
        if positives < 1 or min(negatives, power, words_weight, names_weight) < 0:
            raise ValueError(
                "positives must be at least 1; negatives, power and both weights at least 0; got "
                f"{positives}, {negatives}, {power}, {words_weight} and {names_weight}"
            )
        self.names = [*dict.fromkeys(names or ())]
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.matcher = LabelMatcher(self.features, matching)
        self.free = nn.Embedding(max(len(self.names), 1), self.features) if labels == "free" else None
        self.objective, self.weights = objective, (words_weight, names_weight)
        self.drawing = {"positives": positives, "negatives": negatives, "power": power}

    def kept(self) -> nn.Module:
        parts = {"encoder": self.encoder, "matcher": self.matcher}
        return nn.ModuleDict(parts if self.free is None else {**parts, "free": self.free})

    def views(self, batch: TextBatch) -> Views:
        def draw(count: int) -> Tensor:
            return torch.randint(2**62, (count,), generator=self.generator, device=self.device)

        seeds = for_examples(draw, len(batch.sentences)).tolist()
        words = pseudo_labels(batch.sentences, seeds, **self.drawing) if self.weights[0] else None  # type: ignore[arg-type]
        names = batch.names or [""] * len(batch.sentences)
        named = torch.tensor([self.numbers.get(name, -1) for name in names], device=self.device)
        return Views(batch.sentences, words, named)

    def loss(self, views: Views) -> dict[str, Tensor]:
        texts = self.encoder(views.sentences)
        terms = {"words": texts.sum() * 0, "names": texts.sum() * 0}
        if views.words is not None:
            scores = self.matcher(texts, self.encoder(views.words.texts))
            right, wrong = (mask.to(texts.device) for mask in (views.words.positive, views.words.negative))
            terms["words"] = self.weights[0] * self.told(scores, right, wrong)
        rows = views.named >= 0
        if self.weights[1] and rows.any():
            right = torch.nn.functional.one_hot(views.named[rows], len(self.names)).bool()
            scores = self.matcher(texts[rows], self.label_vectors())
            terms["names"] = self.weights[1] * self.told(scores, right, ~right)
        return terms

    def told(self, scores: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
        """The objective of scores (N, L) and which labels are and are not the texts'."""
        return (binary_nce if self.objective == "binary" else ranking_nce)(scores, right, wrong)

    def label_vectors(self) -> Tensor:
        """Of every label (L, D), as the encoder reads it now or by itself.

        Raises:
            ValueError: there is no label.
        """
        if not self.names:
            raise ValueError("no label is known; name them, or give data whose labels are texts")
        return self.encoder(self.names) if self.free is None else self.free.weight

    def scores(self, batch: Any) -> Tensor:
        """Of texts and every label (N, L)."""
        return self.matcher(self.encode(batch), self.label_vectors())

    def predict(self, batch: Any) -> list[str]:
        """Of each text its best label."""
        return [self.names[number] for number in self.scores(batch).argmax(1).tolist()]

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``accuracy``, ``macro recall`` (each label that occurs counts the same) and ``mrr`` of held-out texts.

        Raises:
            TypeError: labels that are no texts. ValueError: no held-out text has one of the known labels.
        """
        held = data.splits().get("test", data)
        if not isinstance(held, Named):
            raise TypeError(f"{held.name} has no labels that are texts")
        with self.frozen():
            found = torch.cat([self.scores(batch) for _, batch in in_order(held, 256)]).cpu().numpy()
        right = np.array([self.numbers.get(name, -1) for name in held.names])
        found, right = found[right >= 0], right[right >= 0]
        if not len(right):
            raise ValueError(f"no text of {held.name} has one of the {len(self.names)} labels that are known")
        # A label that scores as high as the right one is before it.
        rank = (found >= found[np.arange(len(right)), right, None]).sum(1) - 1
        recalls = [(rank[right == label] == 0).mean() for label in np.unique(right)]
        return Scores(
            {
                "accuracy": float((rank == 0).mean()),
                "macro recall": float(np.mean(recalls)),
                "mrr": float((1 / (1 + rank)).mean()),
            }
        )
