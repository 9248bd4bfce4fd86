"""Copies of a transformer's feed-forward layers, of which every example passes one, or every token a few."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Experts", "Route", "TokenExperts", "add_experts", "add_token_experts"]


class Route:
    """Which expert each example of a batch passes: ``chosen`` (N,) int64, set before the network is run."""

    def __init__(self) -> None:
        self.chosen: Tensor | None = None


class Experts(nn.Module):
    """Copies of one module; each example of a batch goes through its own.

    Args:
        module: maps (N, T, D) to (N, T, E), example by example. All copies begin with its weights.
        count: number of copies, at least 1.
        route: says which, for every such module of a network.
    """

    def __init__(self, module: nn.Module, count: int, route: Route) -> None:
        super().__init__()
        self.copies = nn.ModuleList(copy.deepcopy(module) for _ in range(count))
        self.route = route

    def forward(self, states: Tensor) -> Tensor:
        chosen = self.route.chosen
        if chosen is None or len(chosen) != len(states):
            raise RuntimeError(f"{len(states)} examples need a route of as many experts")
        rows = [(chosen == number).nonzero().flatten() for number in range(len(self.copies))]
        # Every copy is asked, with no example if need be, so that all of them have gradients on every process.
        parts = [expert(states[of]) for expert, of in zip(self.copies, rows, strict=True)]
        return torch.cat(parts)[torch.cat(rows).argsort()]


class TokenExperts(nn.Module):
    """Copies of one module; each token goes through the ``top`` that a learned router gives most, whose outputs are
    summed by the router's shares, which sum to 1 over them.

    Args:
        module: maps (M, D) to (M, E), token by token. All copies begin with its weights.
        count: number of copies, at least 1.
        top: copies that a token passes, from 1 to ``count``.
        width: D.

    Attributes:
        logits: the router's (..., count) of the last pass; whoever reads them sets ``None``.
    """

    def __init__(self, module: nn.Module, count: int, top: int, width: int) -> None:
        super().__init__()
        self.copies = nn.ModuleList(copy.deepcopy(module) for _ in range(count))
        self.router = nn.Linear(width, count, bias=False)
        self.top = top
        self.logits: Tensor | None = None

    def forward(self, states: Tensor) -> Tensor:
        self.logits = self.router(states)
        shares, chosen = self.logits.flatten(0, -2).softmax(-1).topk(self.top)
        shares = shares / shares.sum(-1, keepdim=True)
        flat = states.flatten(0, -2)
        found: list[Tensor] = []
        places: list[Tensor] = []
        for number, expert in enumerate(self.copies):
            rows, place = (chosen == number).nonzero(as_tuple=True)
            found.append(expert(flat[rows]) * shares[rows, place].unsqueeze(-1))
            places.append(rows)
        parts, rows = torch.cat(found), torch.cat(places)
        return parts.new_zeros(len(flat), parts.shape[1]).index_add(0, rows, parts).unflatten(0, states.shape[:-1])


def add_experts(model: Any, count: int, layers: Sequence[int] | None = None) -> Route:
    """Copy the feed-forward part of a transformer's layers once for each expert. Attention and norms stay shared.

    Args:
        model: a transformers encoder, of BERT's kind (BERT, RoBERTa) or with an ``mlp`` in each layer (ModernBERT).
        count: number of experts, at least 1.
        layers: numbers of the layers that get experts, from 0; all when not given.

    Raises:
        ValueError: a model without such layers, or a layer that it has not.
    """
    route = Route()
    for places in _chosen(model, count, layers):
        for module, name in places:
            setattr(module, name, Experts(getattr(module, name), count, route))
    return route


def add_token_experts(model: Any, count: int, top: int, layers: Sequence[int] | None = None) -> list[TokenExperts]:
    """:func:`add_experts` with a router in every layer, which chooses ``top`` of the copies for every token.

    Returns:
        The layers' experts, from the first.

    Raises:
        ValueError: as :func:`add_experts`, and a ``top`` beyond the number of experts.
    """
    if not 1 <= top <= count:
        raise ValueError(f"a token passes 1 to {count} of {count} experts, got {top}")
    made = []
    for places in _chosen(model, count, layers):
        parts = [getattr(module, name) for module, name in places]
        width = next(part.in_features for part in parts[0].modules() if isinstance(part, nn.Linear))
        made.append(TokenExperts(nn.Sequential(*parts), count, top, width))
        for module, name in places[:-1]:
            setattr(module, name, nn.Identity())
        setattr(*places[-1], made[-1])
    return made


def _chosen(model: Any, count: int, layers: Sequence[int] | None) -> list[list[tuple[Any, str]]]:
    """Where the feed-forward parts of the wanted layers are."""
    if count < 1:
        raise ValueError(f"there is at least 1 expert, got {count}")
    found = [place for module in model.modules() if (place := _feed_forward(module))]
    wanted = range(len(found)) if layers is None else layers
    if not found:
        raise ValueError(
            f"a {type(model).__name__} has no feed-forward layers that can be copied; BERT and ModernBERT have"
        )
    if any(not 0 <= layer < len(found) for layer in wanted):
        raise ValueError(f"layers go from 0 to {len(found) - 1}, got {[*wanted]}")
    return [found[layer] for layer in wanted]


def _feed_forward(module: Any) -> list[tuple[Any, str]]:
    """Where the parts of one layer's feed-forward network are, in its parents."""
    if isinstance(getattr(module, "mlp", None), nn.Module):
        return [(module, "mlp")]
    inner, outer = getattr(module, "intermediate", None), getattr(module, "output", None)
    if isinstance(inner, nn.Module) and isinstance(getattr(outer, "dense", None), nn.Module):
        return [(module, "intermediate"), (outer, "dense")]
    return []
