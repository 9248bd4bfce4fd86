"""Networks of released graph code, from their formulas: there are descriptions of them and no stored numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.graph.data.kinds import WholeGraphs
from nearfar.graph.encoders import GCNEncoder, GINEncoder


class Graph:
    def __init__(self, x: Tensor, edge_index: Tensor) -> None:
        self.x, self.edge_index, self.num_nodes = x, edge_index, len(x)


def test_convolutions_of_directed_edges() -> None:
    """GRACE's encoder on edges of which one direction was dropped: both degrees are those of incoming edges."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = GCNEncoder(5, 3).double()
    for _ in range(2):
        x = torch.randn(7, 5, generator=generator, dtype=torch.float64)
        pairs = torch.rand(7, 7, generator=generator) < 0.3
        pairs.fill_diagonal_(False)
        found = network(Graph(x, pairs.nonzero().T))
        into = pairs.double().T + torch.eye(7, dtype=torch.float64)  # row: where an edge ends
        scale = into.sum(1).rsqrt()
        spread = scale[:, None] * into * scale
        h = x
        for layer in network.layers:
            weight, bias = (p for _, p in sorted(layer.named_parameters(), key=lambda item: -item[1].ndim))
            h = (spread @ (h @ weight.T) + bias).relu()
        torch.testing.assert_close(found, h)


def test_sums_of_neighbours_and_of_graphs() -> None:
    """GraphCL's encoder in training: an MLP of the node and its neighbours, ReLU, then batch norm; sums joined."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    network = GINEncoder(4, 3, layers=2).double().train()
    x = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    edges = torch.tensor([[0, 1, 1, 2, 3, 4, 4, 5], [1, 0, 2, 1, 4, 3, 5, 4]])
    graph = torch.tensor([0, 0, 0, 1, 1, 1])
    graphs = WholeGraphs(x, edges, graph, torch.tensor([3, 3]))
    into = torch.zeros(6, 6, dtype=torch.float64)
    into[edges[1], edges[0]] = 1
    h, joined = x, []
    for layer in network.maps:
        h = (h + into @ h) @ layer[0].weight.T + layer[0].bias
        h = (h.relu() @ layer[2].weight.T + layer[2].bias).relu()
        h = (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
        joined.append(h)
    nodes = torch.cat(joined, 1)
    torch.testing.assert_close(network.nodes(graphs), nodes)
    sums = torch.stack([nodes[graph == g].sum(0) for g in (0, 1)])
    torch.testing.assert_close(network(graphs), sums)
