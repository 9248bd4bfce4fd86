"""CLAIF and CLHAIF: sentence embeddings from what a language model says of pairs."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nearfar.encoders.text import Pooling
from nearfar.losses import cosine_regression, info_nce
from nearfar.text.method import TextBatch
from nearfar.text.methods.sentence_bert import Columns
from nearfar.text.methods.simcse import SimCSE
from nearfar.training import Optimization

Objective = Literal["claif", "clhaif"]
Smooth = Literal["positive", "all"]


class CLAIF(SimCSE):
    """Cheng et al., 2023, Findings of ACL, arXiv 2305.01918.

    A language model writes partners of sentences and gives every pair a score in [0, 1]
    (:mod:`nearfar.text.feedback`, ``nearfar feedback``). With ``claif`` the cosine of a pair is regressed on its score,
    and no person judges anything. With ``clhaif`` the pairs are people's, premises with what they entail and what
    contradicts them, and the score s of the entailed one softens SimCSE's target:

    ``loss = -1/B sum_ij q_ij log softmax_j(cos(a_i, c_j) / temperature)``, over all positives and negatives c, where
    ``q_ii = s_i`` and the other places are 0 (``positive``, as released) or share ``1 - s_i`` (``all``).

    In the released code a score of exactly 0 gives the pair's own place a share too under ``all``; here it has none.
    For CLHAIF the paper takes SimCSE's settings: ``head`` and ``keep_head``, a batch of 512 and a rate of 5e-5.

    Args:
        encoder: sentence encoder, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        objective: ``claif`` needs scored pairs, ``clhaif`` needs positives with scores; negatives where there are some.
        smooth: what becomes of the rest of a target under ``clhaif``.
        pooling: the first token's state, as the released training takes; its example of use averages.
        temperature: divides the cosines under ``clhaif``, above 0.
        head: put a Linear + Tanh between encoder and loss.
        keep_head: whether :meth:`encode` goes through the head.
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder; its own when not given.
        optimization: AdamW with linear warm-up over a tenth of the run.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        objective: Objective = "claif",
        smooth: Smooth = "positive",
        pooling: Pooling = "cls",
        temperature: float = 0.05,
        head: bool = False,
        keep_head: bool = False,
        max_length: int = 128,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=2e-5, weight_decay=0.01, schedule="linear", warmup=0.1),
    ) -> None:
        super().__init__(
            encoder,
            pooling=pooling,
            temperature=temperature,
            head=head,
            keep_head=keep_head,
            max_length=max_length,
            dropout=dropout,
            optimization=optimization,
        )
        for name, value, accepted in (("objective", objective, Objective), ("smooth", smooth, Smooth)):
            if value not in get_args(accepted):
                raise ValueError(f"{name} must be one of {', '.join(get_args(accepted))}; got {value!r}")
        self.of_people, self.smooth = objective == "clhaif", smooth

    def views(self, batch: TextBatch) -> Columns:  # type: ignore[override]
        """Judged pairs, with contradictions where the pairs are people's and there are some."""
        if batch.seconds is None or batch.scores is None:
            raise ValueError(
                "claif learns from pairs with scores, and this data has none; `nearfar feedback` writes them, and "
                "--scored-pairs keeps those of a table"
            )
        if batch.scores.min() < 0 or batch.scores.max() > 1:
            raise ValueError(
                f"claif takes scores from 0 to 1, got {batch.scores.min():g} to {batch.scores.max():g}; divide them by "
                "the largest"
            )
        more = [batch.negatives] if self.of_people and batch.negatives else []
        return Columns([batch.sentences, batch.seconds, *more], batch.scores)

    def loss(self, views: Columns) -> Tensor:  # type: ignore[override]
        assert views.scores is not None
        anchors, *candidates = self.embedded(views.sentences)
        (scores,) = self.gather(views.scores.to(anchors.device))
        if not self.of_people:
            return cosine_regression(anchors, candidates[0], scores)
        keys = torch.cat(candidates)
        shares = soft_targets(scores.to(anchors.dtype), len(keys), self.smooth)
        return info_nce(anchors, keys, soft_targets=shares, temperature=self.temperature)


def soft_targets(scores: Tensor, places: int, smooth: Smooth) -> Tensor:
    """Shares (B, places) of scores (B,): each row's own place has its score, and the others what ``smooth`` says."""
    rest = (1 - scores) / max(places - 1, 1) if smooth == "all" else torch.zeros_like(scores)
    own = torch.eye(len(scores), places, dtype=torch.bool, device=scores.device)
    return torch.where(own, scores.unsqueeze(1), rest.unsqueeze(1))
