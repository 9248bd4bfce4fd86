"""Which candidate of a node to branch on: imitation of strong branching."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, whole_numbers


@full_precision
def branching(logits: Tensor, scores: Tensor, of: Tensor) -> Tensor:
    r"""Cross entropy of each node's candidates with the one that scores best, averaged over nodes.

    .. math:: L = -\frac1B \sum_b \log \frac{e^{f(k_b)}}{\sum_{k \in b} e^{f(k)}}, \qquad k_b = \arg\max_{k \in b} s_k

    Gasse et al., 2019 (arXiv 1906.01629). Of several best ones the first is meant.

    Args:
        logits: (K,) of the candidates of all nodes.
        scores: (K,) of strong branching, higher is better.
        of: (K,) the node of each candidate, 0 to B - 1, each of which has at least one.
    """
    logits, scores = floating(logits=logits, scores=scores)
    if logits.ndim != 1 or logits.shape != scores.shape or not len(logits):
        raise ValueError(
            f"logits and scores must be (K,) alike and not empty, got {tuple(logits.shape)} and {tuple(scores.shape)}"
        )
    of = whole_numbers("of", of, tuple(logits.shape), at_least=0)
    count = int(of.max()) + 1
    if len(of.unique()) < count:
        raise ValueError(f"every node from 0 to {count - 1} must have a candidate")
    most = logits.detach().new_full((count,), -torch.inf).scatter_reduce(0, of, logits.detach(), "amax")
    total = most + torch.zeros_like(most).index_add(0, of, (logits - most[of]).exp()).log()
    best = first_best(scores, of, count)
    return (total - logits[best]).mean()


def first_best(scores: Tensor, of: Tensor, count: int) -> Tensor:
    """(B,) the place of each group's first highest score, of scores (K,) in groups ``of`` (K,)."""
    most = scores.new_full((count,), -torch.inf).scatter_reduce(0, of, scores.detach(), "amax")
    places = torch.arange(len(scores), device=scores.device)
    places = torch.where(scores.detach() == most[of], places, len(scores))
    return places.new_full((count,), len(scores)).scatter_reduce(0, of, places, "amin")
