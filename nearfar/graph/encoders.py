"""Node encoders: stacks of graph convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

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
