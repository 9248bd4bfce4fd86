"""Graph isomorphism network on molecules, whose bonds count, with a node that is linked to all atoms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.graph.data.chemistry import ATOM, BOND
from nearfar.graph.data.molecules import MoleculeBatch

__all__ = ["MoleculeEncoder"]


class _Columns(nn.Module):
    """The sum of an embedding of each column."""

    def __init__(self, values: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(count, width) for count in values)
        for table in self.tables:
            nn.init.xavier_uniform_(table.weight)  # type: ignore[arg-type]

    def forward(self, columns: Tensor) -> Tensor:
        return torch.stack([table(columns[:, place]) for place, table in enumerate(self.tables)]).sum(0)


class _Layer(nn.Module):
    """What bonds bring of the neighbours, added to an atom: ``MLP((1 + eps) h_i + sum_j relu(h_j + b_ij))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bonds = _Columns(BOND, width)
        self.eps = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, molecules: MoleculeBatch) -> Tensor:
        source, target = molecules.edge_index
        brought = torch.relu(x[source] + self.bonds(molecules.bonds))
        found = torch.zeros_like(x).index_add_(0, target, brought)
        return self.norm(self.mlp((1 + self.eps) * x + found))


class MoleculeEncoder(nn.Module):
    """Layers of a graph isomorphism network around which the input goes too, and the sum over atoms at the end.

    InfoAlign's (``models/conv.py``, ``GNN_node_Virtualnode``), after Open Graph Benchmark's: a virtual node, at first
    zero, is added to every atom before each layer and takes up the sum of them after it.

    Args:
        width: of all layers, at least 1.
        layers: at least 2.
        dropout: after every layer, in [0, 1).

    Shape: :class:`nearfar.graph.data.molecules.MoleculeBatch` of B molecules to (B, width).
    """

    def __init__(self, width: int = 300, layers: int = 5, dropout: float = 0.5) -> None:
        super().__init__()
        if width < 1 or layers < 2 or not 0 <= dropout < 1:
            raise ValueError(
                f"width is at least 1, layers at least 2 and dropout in [0, 1); got {width}, {layers} and {dropout}"
            )
        self.out_features = width
        self.atoms = _Columns(ATOM, width)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(layers))
        self.virtual = nn.Parameter(torch.zeros(width))
        self.taken = nn.ModuleList(
            nn.Sequential(
                *(nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU()),
                *(nn.Linear(2 * width, width), nn.BatchNorm1d(width), nn.ReLU()),
            )
            for _ in range(layers - 1)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, molecules: MoleculeBatch) -> Tensor:
        count = len(molecules.rows)
        x, virtual = self.atoms(molecules.atoms), self.virtual.expand(count, -1)
        for place, layer in enumerate(self.layers):
            x = x + virtual[molecules.graph]
            last = place == len(self.layers) - 1
            found = layer(x, molecules)
            if not last:
                virtual = virtual + self.drop(self.taken[place](virtual + _total(x, molecules.graph, count)))
            x = x + self.drop(found if last else found.relu())
        return _total(x, molecules.graph, count)


def _total(x: Tensor, graph: Tensor, count: int) -> Tensor:
    return x.new_zeros(count, x.shape[1]).index_add_(0, graph, x)
