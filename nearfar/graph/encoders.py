"""Node encoders: stacks of graph convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.graph.extra import torch_geometric
from nearfar.graph.layers import GraphConvolution, OneSlope, adjacency_of


class GCNEncoder(nn.Module):
    """Graph convolutions (Kipf and Welling, 2017) of widths ``in -> 2h -> ... -> h``, an activation after each.

    Args:
        in_features: number of node features.
        hidden: h, the width of the representation.
        layers: number of convolutions, at least 2.
        activation: ``relu`` or ``prelu`` (one shared slope).
        inner: width of the layers before the last; 2h when not given.

    Shape: a graph with ``x`` (N, in_features) and ``edge_index`` (2, E), or a dense normalised ``adj`` (N, N), to
    (N, hidden).
    """

    def __init__(
        self,
        in_features: int,
        hidden: int = 128,
        *,
        layers: int = 2,
        activation: str = "relu",
        inner: int | None = None,
    ) -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        if activation not in ("relu", "prelu"):
            raise ValueError(f"activation must be 'relu' or 'prelu', got {activation!r}")
        widths = [in_features, *[inner or 2 * hidden] * (layers - 1), hidden]
        self.layers = nn.ModuleList(GraphConvolution(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.act: nn.Module = nn.ReLU() if activation == "relu" else OneSlope()
        self.out_features = hidden

    def forward(self, graph: Any) -> Tensor:
        adjacency = adjacency_of(graph)
        first, *others = self.layers
        x = self.act(first.first(graph, adjacency))  # type: ignore[operator]
        for layer in others:
            x = self.act(layer(x, adjacency))
        return x


class GATEncoder(nn.Module):
    """Two graph attention layers of one head (arXiv 1710.10903), an activation after each.

    Args:
        in_features: number of node features.
        hidden: width of both layers.

    Shape: a graph with ``x`` (N, in_features) and ``edge_index`` (2, E) to (N, hidden).
    """

    def __init__(self, in_features: int, hidden: int = 128) -> None:
        super().__init__()
        conv = torch_geometric().nn.GATConv
        self.layers = nn.ModuleList([conv(in_features, hidden), conv(hidden, hidden)])
        self.out_features = hidden

    def forward(self, graph: Any) -> Tensor:
        columns = getattr(graph, "columns", None)
        x = graph.x if columns is None or getattr(graph, "rows", None) is None else graph.x * columns
        for layer in self.layers:
            x = layer(x, graph.edge_index).relu()
        return x


class GINEncoder(nn.Module):
    """Graph isomorphism layers whose sums over each graph are its embedding (Xu et al., 2019; GraphCL's encoder).

    A layer is ``BatchNorm(ReLU(MLP(h_i + sum of the neighbours)))`` with an MLP of two linear maps; the embedding joins
    the sums of all layers.

    Args:
        in_features: number of node features.
        hidden: width of every layer.
        layers: at least 1.

    Shape: :class:`nearfar.graph.data.WholeGraphs` of B graphs to (B, layers * hidden).
    """

    def __init__(self, in_features: int, hidden: int = 32, *, layers: int = 3) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        widths = [in_features, *[hidden] * layers]
        self.maps = nn.ModuleList(
            nn.Sequential(nn.Linear(a, hidden), nn.ReLU(), nn.Linear(hidden, hidden)) for a in widths[:-1]
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers))
        self.out_features = layers * hidden

    def nodes(self, graphs: Any) -> Tensor:
        """All layers of every node, joined."""
        neighbours = adjacency_of(graphs, normalize=False)
        x, found = graphs.x, []
        for mapped, norm in zip(self.maps, self.norms, strict=True):
            x = norm(mapped(x + neighbours @ x).relu())
            found.append(x)
        return torch.cat(found, 1)

    def forward(self, graphs: Any) -> Tensor:
        return graphs.total(self.nodes(graphs))


class NormalizedGCN(nn.Module):
    """Graph convolutions, each followed by batch norm over the nodes and a PReLU of its own (BGRL).

    The statistics kept for evaluation are almost only those of the last pass: the released ``momentum`` of 0.99 is
    the weight of the new ones.

    Args:
        in_features: number of node features.
        widths: of the layers, at least one.

    Shape: as :class:`GCNEncoder`, to (N, widths[-1]).
    """

    def __init__(self, in_features: int, widths: Sequence[int] = (256, 128)) -> None:
        super().__init__()
        if not widths:
            raise ValueError("widths must name at least one layer")
        sizes = [in_features, *widths]
        self.layers = nn.ModuleList(GraphConvolution(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, momentum=0.99) for width in widths)
        self.acts = nn.ModuleList(OneSlope() for _ in widths)
        self.out_features = widths[-1]

    def forward(self, graph: Any) -> Tensor:
        adjacency = adjacency_of(graph)
        x: Tensor | None = None
        for layer, norm, act in zip(self.layers, self.norms, self.acts, strict=True):
            x = layer.first(graph, adjacency) if x is None else layer(x, adjacency)  # type: ignore[operator]
            x = act(norm(x))
        assert x is not None
        return x
