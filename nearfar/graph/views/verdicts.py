"""A graph's edges changed by verdicts on pairs of nodes: GAugLLM."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["drawn_pairs", "edited", "without"]


def without(edge_index: Tensor, pairs: Tensor, nodes: int) -> Tensor:
    """Edges (2, E) that are none of the pairs (2, P), in this direction."""
    keys, gone = edge_index[0] * nodes + edge_index[1], pairs[0] * nodes + pairs[1]
    return edge_index[:, ~torch.isin(keys, gone)]


def drawn_pairs(pairs: Tensor, quota: Tensor, generator: torch.Generator) -> Tensor:
    """Of each node's pairs (3, P) as many as its ``quota`` (N,), drawn at random; of those the ones called connected.

    Shape: (2, P').
    """
    chance = torch.rand(pairs.shape[1], dtype=torch.float64, generator=generator, device=pairs.device)
    order = torch.argsort(pairs[0] + chance)
    owner = pairs[0][order]
    rank = torch.arange(len(owner), device=pairs.device) - torch.searchsorted(owner, owner)
    taken = order[(rank < quota[owner]) & (pairs[2][order] == 1)]
    return pairs[:2, taken]


def edited(
    edge_index: Tensor,
    removable: Tensor,
    addable: Tensor,
    nodes: int,
    *,
    share: float,
    most: int,
    least: int,
    generator: torch.Generator,
) -> Tensor:
    """Edges without the removable ones, and with some of the removable and addable that are called connected.

    Of each kind a node draws ``share`` of its degree (rounded, at most ``most``) and gets back, or anew, those of them
    that are called connected. A node with fewer than ``least`` removable edges keeps all. An edge is changed in the
    direction from the node that was asked about.
    """
    degrees = torch.bincount(edge_index[0], minlength=nodes)
    quota = (share * degrees).round().long().clamp_max(most)
    asked = torch.bincount(removable[0], minlength=nodes) >= least
    removable = removable[:, asked[removable[0]]]
    kept = without(edge_index, removable[:2], nodes)
    more = [drawn_pairs(pairs, quota, generator) for pairs in (removable, addable)]
    return torch.cat([kept, *more], 1)
