"""Random corruptions of a graph, drawn from an explicit generator."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor


def drop_edges(edge_index: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Keep each directed edge with probability ``1 - p``, independently (GRACE, BGRL).

    The two directions of an undirected edge are two columns and are dropped independently, as in the released
    code, so the result is in general asymmetric.

    Shape: (2, E) to (2, E'), E' <= E.
    """
    _probability("p", p)
    keep = torch.rand(edge_index.shape[1], generator=generator, device=edge_index.device) >= p
    return edge_index[:, keep]


def mask_feature_columns(x: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Set whole feature columns to zero, each with probability ``p``, the same ones for every node (GRACE).

    Shape: (N, F) to (N, F).
    """
    _probability("p", p)
    keep = torch.rand(x.shape[1], generator=generator, device=x.device) >= p
    return x * keep.to(x.dtype)


def corrupt(graph: Any, drop_edge: float, mask_features: float, generator: torch.Generator | None = None) -> Any:
    """A copy of ``graph`` with edges dropped and feature columns masked.

    Where the graph has its features in compressed rows as well (``rows``), the mask is noted as ``columns`` and the
    features stay as they are; the first layer of an encoder applies it.
    """
    view = copy.copy(graph)
    view.edge_index = drop_edges(graph.edge_index, drop_edge, generator)
    if getattr(graph, "rows", None) is None:
        view.x = mask_feature_columns(graph.x, mask_features, generator)
    else:
        view.columns = mask_feature_columns(graph.x.new_ones(1, graph.x.shape[1]), mask_features, generator)[0]
    return view


def _probability(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1], got {value}")
