"""Node encoders over PyTorch Geometric's convolutions."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nearfar.graph.extra import torch_geometric


class GCNEncoder(nn.Module):
    """Graph convolutions (Kipf and Welling, 2017) of widths ``in -> 2h -> ... -> h``, an activation after each.

    Args:
        in_features: number of node features.
        hidden: h, the width of the representation.
        layers: number of convolutions, at least 2.
        activation: ``relu`` or ``prelu`` (one shared slope).

    Shape: a graph with ``x`` (N, in_features) and ``edge_index`` (2, E) to (N, hidden).
    """

    def __init__(self, in_features: int, hidden: int = 128, *, layers: int = 2, activation: str = "relu") -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        if activation not in ("relu", "prelu"):
            raise ValueError(f"activation must be 'relu' or 'prelu', got {activation!r}")
        conv = torch_geometric().nn.GCNConv
        widths = [in_features, *[2 * hidden] * (layers - 1), hidden]
        self.layers = nn.ModuleList(conv(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.act: nn.Module = nn.ReLU() if activation == "relu" else nn.PReLU()
        self.out_features = hidden

    def forward(self, graph: Any) -> Tensor:
        x = graph.x
        for layer in self.layers:
            x = self.act(layer(x, graph.edge_index))
        return x
