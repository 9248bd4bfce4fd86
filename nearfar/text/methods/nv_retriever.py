"""NV-Retriever: a retriever from negatives that are near and probably not right."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.common.randomness import derive_seed
from nearfar.encoders import text_encoder
from nearfar.encoders.text import Pooling
from nearfar.losses import info_nce
from nearfar.text.method import TextBatch, TextMethod
from nearfar.text.mining import Mining, mined_negatives
from nearfar.training import Optimization
from nearfar.training.steps import Phase


class Candidates(NamedTuple):
    """N queries, their positives, and K lists of N negatives."""

    queries: list[str]
    positives: list[str]
    negatives: list[list[str]]


class NVRetriever(TextMethod):
    """Moreira et al., 2024, arXiv 2407.15831; the authors released no miner, and no code of training.

    Before the first step a teacher ranks all passages for every query, those that score almost as high as the query's
    own positive are dropped as probably right (:class:`nearfar.text.mining.Mining`), and the nearest of the others are
    its hard negatives throughout. In the first stage a query must find its positive among all passages of the batch,

    ``CE([s(q, p), s(q, p of others), s(q, n of all)] / temperature)``,

    and in the second among its own negatives alone, as the paper trains where passages of other queries may be right.

    Negatives that the data already has are used as they are (`nearfar mine` writes them), and no teacher is asked.
    Where fewer than ``mining.count`` passages are left for a query, passages drawn from the whole corpus fill its list.
    Left out are the instructions before queries and the attention in both directions of a decoder turned encoder.

    Args:
        encoder: sentence encoder, by name or as a ``TextEncoder``; the paper's comparison of miners trains this one.
        teacher: who ranks passages, by name or as a ``TextEncoder``; it is asked once and never trained.
        mining: the rules; the paper's best is the default, and ``mining.percentage`` of nothing is the naive miner.
        second_stage: share of the run, at its end, without negatives of other queries, in [0, 1].
        temperature: divides the cosines, above 0; what the paper takes is not known.
        pooling: how token states become one vector.
        teacher_pooling: the same of the teacher.
        max_length: tokens kept of each text.
        dropout: probability of every dropout in the encoder; its own when not given.
        optimization: AdamW with linear decay after a warm-up; what the paper takes is not known.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:intfloat/e5-large-unsupervised",
        *,
        teacher: str | nn.Module = "hf:intfloat/e5-mistral-7b-instruct",
        mining: Mining = Mining(),
        second_stage: float = 0.5,
        temperature: float = 0.02,
        pooling: Pooling = "avg",
        teacher_pooling: Pooling = "last_token",
        max_length: int = 512,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=1e-5, weight_decay=0.01, schedule="linear", warmup=0.1),
    ) -> None:
        super().__init__(encoder, pooling, max_length, dropout, optimization)
        if not 0 <= second_stage <= 1:
            raise ValueError(f"second_stage must be in [0, 1], got {second_stage}")
        self.mining, self.temperature = mining, temperature
        self.phases = (Phase("all passages", 1 - second_stage), Phase("own negatives", second_stage))
        self.second_stage, self.max_length = second_stage, max_length
        self._teacher = (teacher, teacher_pooling)  # made when it is asked, which a finished run never does
        self.mined: list[list[str]] = []

    def begin(self, data: Any) -> None:
        if getattr(data, "positives", None) is None:
            raise ValueError(f"nv-retriever learns from pairs of a query and its passage, and {data.name} has none")
        if data.negatives is None:
            self.mined = self.mine(data)

    resumed = begin  # The teacher does not change, and so neither do its negatives.

    def mine(self, data: Any) -> list[list[str]]:
        """For every pair of the data its negatives, ``mining.count`` of them."""
        named, pooling = self._teacher
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "teacher"))
            teacher = text_encoder(named, pooling=pooling, max_length=self.max_length).to(self.device).eval()
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "mining"))
        found, _ = mined_negatives(
            teacher, data.sentences, data.positives, data.corpus, self.mining, generator=generator
        )
        return _filled(found, data, self.mining.count, generator)

    def views(self, batch: TextBatch) -> Candidates:
        if batch.negatives is not None:
            negatives = [batch.negatives, *batch.more_negatives]
        else:
            negatives = [[*column] for column in zip(*(self.mined[row] for row in batch.rows.tolist()), strict=True)]
        assert batch.positives is not None
        return Candidates(batch.sentences, batch.positives, negatives)

    def loss(self, views: Candidates) -> Tensor:
        columns = [views.queries, views.positives, *views.negatives]
        queries, positives, *negatives = self.gather(*self.encoder([*itertools.chain(*columns)]).chunk(len(columns)))
        if self.second_stage and self.phase == "own negatives":
            own = torch.stack(negatives, 1)
            return info_nce(queries, positives, temperature=self.temperature, in_batch=False, own_negatives=own)
        return info_nce(queries, positives, temperature=self.temperature, negatives=torch.cat(negatives))


def _filled(found: list[list[str | None]], data: Any, count: int, generator: torch.Generator) -> list[list[str]]:
    """Lists without gaps: what is missing is drawn from the passages that are not the query's."""
    corpus = [*dict.fromkeys([*data.positives, *data.corpus])]
    right: dict[str, set[str]] = {}
    for query, positive in zip(data.sentences, data.positives, strict=True):
        right.setdefault(query, {query}).add(positive)
    drawn = torch.randint(len(corpus), (len(found), count), generator=generator).tolist()
    filled = []
    for query, texts, rows in zip(data.sentences, found, drawn, strict=True):
        fine = [
            next((c for c in (*corpus[row:], *corpus[:row]) if c not in right[query]), None) if text is None else text
            for text, row in zip(texts, rows, strict=True)
        ]
        if None in fine:
            raise ValueError(f"every passage of {data.name} answers {query[:80]!r}, so none can be its negative")
        filled.append(fine)
    return filled  # type: ignore[return-value]
