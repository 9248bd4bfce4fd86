"""Copies of a transformer's feed-forward layers, of which every example passes one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Experts", "Route", "add_experts"]


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


def add_experts(model: Any, count: int, layers: Sequence[int] | None = None) -> Route:
    """Copy the feed-forward part of a transformer's layers once for each expert. Attention and norms stay shared.

    Args:
        model: a transformers encoder, of BERT's kind (BERT, RoBERTa) or with an ``mlp`` in each layer (ModernBERT).
        count: number of experts, at least 1.
        layers: numbers of the layers that get experts, from 0; all when not given.

    Raises:
        ValueError: a model without such layers, or a layer that it has not.
    """
    if count < 1:
        raise ValueError(f"there is at least 1 expert, got {count}")
    route, found = Route(), [place for module in model.modules() if (place := _feed_forward(module))]
    wanted = range(len(found)) if layers is None else layers
    if not found:
        raise ValueError(
            f"a {type(model).__name__} has no feed-forward layers that can be copied; BERT and ModernBERT have"
        )
    if any(not 0 <= layer < len(found) for layer in wanted):
        raise ValueError(f"layers go from 0 to {len(found) - 1}, got {[*wanted]}")
    for layer in wanted:
        for module, name in found[layer]:
            setattr(module, name, Experts(getattr(module, name), count, route))
    return route


def _feed_forward(module: Any) -> list[tuple[Any, str]]:
    """Where the parts of one layer's feed-forward network are, in its parents."""
    if isinstance(getattr(module, "mlp", None), nn.Module):
        return [(module, "mlp")]
    inner, outer = getattr(module, "intermediate", None), getattr(module, "output", None)
    if isinstance(inner, nn.Module) and isinstance(getattr(outer, "dense", None), nn.Module):
        return [(module, "intermediate"), (outer, "dense")]
    return []
