"""What a generator writes beside the target: ranked by the n-grams that they have in common, chosen by similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.encoders.tokens import Tokens
from nearfar.text.overlap import ngram_overlap

COPY = 0.99
"""A candidate whose overlap is above this is the reference itself, which ranks first already."""


@dataclass(frozen=True)
class Ranking:
    """What is compared with the reference, and how.

    Args:
        sampled: candidates that the model writes for each source.
        diversity: penalty of a token that another candidate has at the same place, at least 0.
        kept: candidates of each source, the reference counted.
        margin: for each rank, at least 0.
        tie: overlaps that differ by no more are equal.
    """

    sampled: int = 12
    diversity: float = 2.0
    kept: int = 16
    margin: float = 0.01
    tie: float = 0.01


def averaged(projected: Tensor, there: Tensor) -> Tensor:
    """The mean (N, D) of rectified states (N, T, D) over all tokens but the last of those that are ``there`` (N, T)."""
    before_last = there.cumsum(1) < there.sum(1, keepdim=True)
    weights = (before_last & (there > 0)).unsqueeze(2).to(projected.dtype)
    return (F.relu(projected) * weights).sum(1) / weights.sum(1).clamp_min(1)


def chosen_beams(logps: Tensor, similarities: Tensor, balance: float) -> Tensor:
    """Row by row the beam (N,) with the largest sum of its share of log-probability and its similarity, (N, K) each."""
    return ((1 - balance) * logps / (-logps).sum(1, keepdim=True) + balance * similarities).argmax(1)


def ranked(gold: Tensor, own: Tensor, *, kept: int, pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """The target and the best other candidates for each source, by their overlap with the target.

    Args:
        gold: (B, T) ids of the targets, which are candidates for each other's sources.
        own: (B, S, T') what was written for each source.
        kept: how many, the target counted.
        pad: the id of padding.

    Returns:
        Ids (B, K, max(T, T')), overlaps (B, K) and which of them count.
    """
    width = max(own.shape[2], gold.shape[1])
    own, gold = (F.pad(ids, (0, width - ids.shape[-1]), value=pad) for ids in (own, gold))
    others = torch.cat([own, gold.expand(len(gold), *gold.shape)], 1)
    overlap = ngram_overlap(gold, others, pad)
    overlap[overlap > COPY] = -1.0
    best, rows = overlap.topk(min(kept - 1, overlap.shape[1]), 1)
    chosen = others.gather(1, rows.unsqueeze(2).expand(-1, -1, width))
    oracle = torch.cat([torch.ones_like(best[:, :1]), best], 1)
    return torch.cat([gold.unsqueeze(1), chosen], 1), oracle, oracle >= 0


@dataclass(frozen=True)
class Search:
    """How texts are written afterwards.

    Args:
        beams: of the beam search, at least 1.
        balance: weight of the similarity against the likelihood, in [0, 1].
        length_penalty: exponent of the length that a beam's log-probability is divided by.
    """

    beams: int = 8
    balance: float = 0.5
    length_penalty: float = 1.0


class Ranked(NamedTuple):
    """A source's tokens, its target's ids (B, T), and with ranks candidates (B, K, T'), overlaps and which count."""

    source: Tokens
    target: Tensor
    candidates: Tensor | None = None
    oracle: Tensor | None = None
    valid: Tensor | None = None
