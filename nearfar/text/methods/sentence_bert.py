"""Sentence-BERT: sentence embeddings from pairs, triplets and judgements of similarity."""

from __future__ import annotations

import itertools
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders.text import Pooling
from nearfar.losses import cosent, cosine_regression, info_nce, online_pair_margin, pair_margin, triplet_margin
from nearfar.text.method import TextBatch, TextMethod
from nearfar.training import Optimization

Objective = Literal["ranking", "softmax", "triplet", "cosine", "cosent", "pair-margin", "online-pair-margin"]
JUDGED = ("cosine", "cosent", "pair-margin", "online-pair-margin")
MARGINS = {"triplet": 5.0, "pair-margin": 0.5, "online-pair-margin": 0.5}


class Columns(NamedTuple):
    """Lists of N sentences that belong together row by row, and (N,) judgements or classes of the first two."""

    sentences: list[list[str]]
    scores: Tensor | None


class SentenceBERT(TextMethod):
    """Reimers and Gurevych, 2019, EMNLP, arXiv 1908.10084; ranking of Henderson et al., 2017, arXiv 1705.00652.

    One encoder reads every sentence by itself, its tokens are averaged, and the objective compares the averages:

    - ``ranking`` (multiple negatives): an anchor finds its positive among all positives and all hard negatives of the
      batch, however many of those each anchor has. Needs pairs or triplets; large batches are cheap with ``--chunk``.
    - ``softmax``: a linear layer reads ``[u; v; |u - v|]`` and tells the class of the pair, as the paper trains on
      inference data. Needs pairs whose scores are class numbers, or triplets, whose pairs are then entailed (0) or
      contradicting (1).
    - ``triplet``: the positive is nearer than the negative by a margin, in Euclidean distance.
    - ``cosine``: the cosine of a pair is its judgement; ``cosent``: cosines are in the order of the judgements. Need
      scored pairs (``--scored-pairs`` keeps those of a file).
    - ``pair-margin`` and ``online-pair-margin``: pairs scored 1 are pulled together and pairs scored 0 pushed apart.

    Where there are no pairs at all use :class:`nearfar.text.methods.simcse.SimCSE`.

    Args:
        encoder: sentence encoder, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        pooling: the paper's mean over tokens.
        objective: one of those above.
        scale: multiplies the cosines of ``ranking`` and ``cosent``, above 0.
        symmetric: with ``ranking``, let positives find their anchors too; hard negatives are not in that direction.
        margin: of ``triplet`` (5 when not given; the paper has 1) and of the pair margins (0.5).
        highest: the judgement that means equal, 5 for STS benchmarks: ``cosine`` divides the scores by it.
        classes: number of classes of ``softmax``.
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder; its own when not given.
        optimization: Adam with linear warm-up over a tenth of the run.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        pooling: Pooling = "avg",
        objective: Objective = "ranking",
        scale: float = 20.0,
        symmetric: bool = False,
        margin: float | None = None,
        highest: float = 1.0,
        classes: int = 3,
        max_length: int = 128,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adam", lr=2e-5, weight_decay=0.0, schedule="linear", warmup=0.1),
    ) -> None:
        super().__init__(encoder, pooling, max_length, dropout, optimization)
        if objective not in get_args(Objective):
            raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}; got {objective!r}")
        if not (scale > 0 and highest > 0 and classes > 1):
            raise ValueError(
                f"scale and highest must be above 0 and classes above 1; got {scale}, {highest}, {classes}"
            )
        self.objective, self.scale, self.symmetric, self.highest = objective, scale, symmetric, highest
        self.margin = MARGINS.get(objective, 0.0) if margin is None else margin
        self.classifier = nn.Linear(3 * self.features, classes) if objective == "softmax" else None

    def views(self, batch: TextBatch) -> Columns:
        """Judged pairs, or anchors, positives and each column of hard negatives."""
        if self.objective in JUDGED or (self.objective == "softmax" and batch.scores is not None):
            if batch.seconds is None or batch.scores is None:
                raise ValueError(
                    f"the objective {self.objective} needs pairs with scores, and this data has none; give sentence1, "
                    "sentence2 and score with --scored-pairs, or use the objective ranking on pairs"
                )
            return Columns([batch.sentences, batch.seconds], batch.scores)
        if batch.positives is None or (self.objective != "ranking" and batch.negatives is None):
            needs = "a positive" if self.objective == "ranking" else "a positive and a negative"
            raise ValueError(f"the objective {self.objective} needs {needs} for each sentence, and this data has none")
        columns = [batch.sentences, batch.positives, *([batch.negatives] if batch.negatives else ())]
        return Columns([*columns, *(batch.more_negatives if self.objective == "ranking" else ())], None)

    def loss(self, views: Columns) -> Tensor:
        embedded = self.encoder([*itertools.chain(*views.sentences)]).chunk(len(views.sentences))
        first, second, *negatives = self.gather(*embedded)
        gold = None if views.scores is None else self.gather(views.scores)[0]
        if self.objective == "ranking":
            return ranking(first, second, negatives, self.scale, self.symmetric)
        if self.objective == "triplet":
            return triplet_margin(first, second, negatives[0], margin=self.margin)
        if self.objective == "softmax":
            return self._classified(first, second, negatives, gold)
        assert gold is not None
        if self.objective == "cosine":
            return cosine_regression(first, second, gold / self.highest)
        if self.objective == "cosent":
            return cosent(first, second, gold, scale=self.scale)
        margin = pair_margin if self.objective == "pair-margin" else online_pair_margin
        return margin(first, second, gold, margin=self.margin)

    def _classified(self, first: Tensor, second: Tensor, negatives: list[Tensor], gold: Tensor | None) -> Tensor:
        assert self.classifier is not None
        if gold is None:
            gold = torch.arange(2, device=first.device).repeat_interleave(len(first))
            first, second = torch.cat([first, first]), torch.cat([second, negatives[0]])
        classes = self.classifier.out_features
        if first.device.type == "cpu" and not bool(((gold >= 0) & (gold < classes) & (gold == gold.floor())).all()):
            raise ValueError(f"the objective softmax needs class numbers from 0 to {classes - 1} as scores")
        return F.cross_entropy(self.classifier(compared(first, second)), gold.long())


def ranking(anchors: Tensor, positives: Tensor, negatives: list[Tensor], scale: float, symmetric: bool) -> Tensor:
    """Multiple-negatives ranking of (N, D) columns: an anchor finds its positive among all positives and negatives."""
    return info_nce(
        anchors,
        positives,
        temperature=1 / scale,
        negatives=torch.cat(negatives) if negatives else None,
        symmetric=symmetric,
    )


def compared(u: Tensor, v: Tensor) -> Tensor:
    """``[u; v; |u - v|]``, (N, D) twice to (N, 3D)."""
    return torch.cat([u, v, (u - v).abs()], 1)
