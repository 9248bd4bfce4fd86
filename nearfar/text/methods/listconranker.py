"""ListConRanker: passages of a query see one another before they are scored."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.evaluation import ranked_retrieval
from nearfar.losses import circle_loss
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.text.data.lists import ListBatch
from nearfar.text.method import TextMethod
from nearfar.text.reranking import ListTransformer, in_rounds, padded
from nearfar.training import Data, Optimization
from nearfar.training.steps import Phase

Objective = Literal["circle", "softmax", "pointwise"]


class ListConRanker(TextMethod):
    """ListConRanker (2025, arXiv 2501.07111). The authors released the model; code of training they did not.

    A sentence encoder reads the query and each passage by itself; a transformer over these vectors lets the passages
    of a list see one another (:class:`nearfar.text.reranking.ListTransformer`), and each gets one score, whose sigmoid
    the circle loss pulls up where the passage is right and down where it is not. At first the sentence encoder is
    frozen, then everything moves. Lists longer than those of training are ranked in rounds, as released.

    Two things are unlike the release: equal passages of a list are scored one by one and not looked up by their text,
    and margin and scale of the circle loss are this library's own choice, since the authors' are not published.

    Args:
        encoder: sentence encoder, by name or as a ``TextEncoder``.
        objective: ``circle``; ``softmax``, the cross-entropy of right passages among all; or ``pointwise``, a yes or no
            for each passage.
        margin, scale: of the circle loss.
        width, layers, heads, hidden: of the list transformer.
        together: whether passages see one another; without, each is scored by itself, as other rerankers do.
        frozen: share of the run, at its beginning, in which the encoder does not move, in [0, 1].
        longest: passages that are ranked at a time.
        max_length: tokens kept of each text.
        dropout: probability of every dropout, in encoder and lists; the encoder's own and 0.1 when not given.
        optimization: AdamW with linear decay.
    """

    verbs: ClassVar[tuple[str, ...]] = ("ranks",)
    takes: ClassVar[type | None] = ListBatch

    def __init__(
        self,
        encoder: str | nn.Module = "hf:TencentBAC/Conan-embedding-v1",
        *,
        objective: Objective = "circle",
        margin: float = 0.1,
        scale: float = 10.0,
        width: int = 1792,
        layers: int = 2,
        heads: int = 16,
        hidden: int = 2048,
        together: bool = True,
        frozen: float = 0.67,
        longest: int = 20,
        max_length: int = 512,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=1e-5, weight_decay=0.01, schedule="linear", warmup=0.05),
    ) -> None:
        super().__init__(encoder, "avg", max_length, dropout, optimization)
        if objective not in get_args(Objective) or not 0 <= frozen <= 1 or longest < 1:
            raise ValueError(
                f"objective must be one of {', '.join(get_args(Objective))}, frozen in [0, 1] and longest at least 1; "
                f"got {objective}, {frozen} and {longest}"
            )
        drop = 0.1 if dropout is None else dropout
        self.reader = ListTransformer(self.features, width, layers, heads, hidden, drop, together)
        self.objective, self.margin, self.scale, self.longest = objective, margin, scale, longest
        self.frozen_share = frozen
        self.phases = (Phase("lists", frozen), Phase("everything", 1 - frozen))

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "reader": self.reader})

    def views(self, batch: ListBatch) -> ListBatch:
        return batch

    def loss(self, views: ListBatch) -> Tensor:
        held = self.frozen_share == 1 or (self.frozen_share > 0 and self.phase == "lists")
        with torch.no_grad() if held else nullcontext():
            found = self.encoder([*views.queries, *itertools.chain(*views.passages)])
        logits, there = self.logits(found, [*map(len, views.passages)])
        flags = [torch.tensor(row, device=logits.device) for row in views.right]
        right = nn.utils.rnn.pad_sequence(flags, batch_first=True)
        if self.objective == "circle":
            return circle_loss(logits.sigmoid(), right, there & ~right, margin=self.margin, scale=self.scale)
        if self.objective == "pointwise":
            return F.binary_cross_entropy_with_logits(logits[there], right[there].to(logits.dtype))
        shares = logits.masked_fill(~there, -torch.inf).log_softmax(1)
        return -(shares[right].sum() / right.sum().clamp_min(1))

    def logits(self, found: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Logits (Q, n) and where there is a passage (Q, n), of the vectors of Q queries and then all passages."""
        passages, there = padded(found[len(lengths) :], lengths)
        return self.reader(found[: len(lengths)], passages, there), there

    def scores(self, query: str, passages: Sequence[str]) -> Tensor:
        """Scores (n,) of the passages of a query, at most 1 more for each round that they stayed in."""
        found = self.encoder([query, *passages])

        def together(rows: list[int]) -> Tensor:
            places = torch.tensor([0, *(row + 1 for row in rows)], device=found.device)
            return self.logits(found[places], [len(rows)])[0][0].sigmoid()

        return in_rounds(together, len(passages), most=self.longest)

    def rank(self, queries: tuple[Sequence[str], Sequence[Sequence[str]]] | ListBatch, k: int) -> tuple[Any, Any]:
        """The ``k`` best of each query's passages.

        Args:
            queries: N queries and, for each, its passages.
            k: how many, at least 1.

        Returns:
            Positions in the lists (N, k), -1 where a list is shorter, and scores (N, k), NaN there.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        rows, scores = np.full((len(queries[0]), k), -1), np.full((len(queries[0]), k), np.nan, np.float32)
        with self.frozen():
            for row, (query, passages) in enumerate(zip(queries[0], queries[1], strict=True)):
                found = self.scores(query, passages).numpy()
                best = np.argsort(-found, kind="stable")[:k]
                rows[row, : len(best)], scores[row, : len(best)] = best, found[best]
        return rows, scores

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``map``, ``mrr@10`` and ``ndcg@10`` of each held-out set of lists, or of the data itself."""
        scores = Scores()
        for name, part in (dict(data.splits()) or {"data": data}).items():
            ranked, relevance = {}, {}
            for indices, batch in in_order(part, 64):
                order, _ = self.rank(batch, max(map(len, batch.passages)))
                for at, row in enumerate(indices.tolist()):
                    ranked[str(row)] = [str(place) for place in order[at] if place >= 0]
                    relevance[str(row)] = {str(p): float(yes) for p, yes in enumerate(batch.right[at])}
            found = ranked_retrieval(ranked, relevance, ks=(10,))
            scores.update({f"{what} {name}": found[what] for what in ("map", "mrr@10", "ndcg@10")})
        return scores
