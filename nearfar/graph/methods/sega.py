"""SEGA: structural entropy guided anchor view for graph contrastive learning."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.graph.coding_tree import CodingTree, build_coding_tree
from nearfar.graph.data.kinds import WholeGraphs
from nearfar.graph.encoders import GINEncoder
from nearfar.graph.methods.graphcl import Change
from nearfar.graph.views.whole import augment
from nearfar.losses import graph_contrast
from nearfar.parts import MLPHead
from nearfar.training import Method, Optimization

KEPT_TREES = 20_000


class TreeEncoder(nn.Module):
    """Sums of children through an MLP, level by level, of the coding tree of every graph.

    The MLP of a level is Linear, batch norm, ReLU, twice. The embedding is a linear map of the joined sums over the
    nodes of every level above the vertices.

    Args:
        in_features: of the vertices. hidden: width of a level. height: of the trees. out_features: of the embedding.
    """

    def __init__(self, in_features: int, hidden: int, height: int, out_features: int) -> None:
        super().__init__()
        widths = [in_features, *[hidden] * height]
        self.maps = nn.ModuleList(
            nn.Sequential(
                nn.Linear(a, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
                nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            )
            for a in widths[:-1]
        )  # fmt: skip
        self.joined = nn.Linear(height * hidden, out_features)

    def forward(self, leaves: Tensor, parents: list[Tensor], owners: list[Tensor]) -> Tensor:
        """(G, out_features) of G graphs.

        Args:
            leaves: (N, in_features) of all vertices.
            parents: for each level from the vertices upwards, the parent of each node, numbered through all graphs.
            owners: for each level above the vertices, the graph of each node.
        """
        x, sums = leaves, []
        graphs = int(owners[-1].max()) + 1
        for mapped, parent, owner in zip(self.maps, parents, owners, strict=True):
            x = mapped(x.new_zeros(len(owner), x.shape[1]).index_add_(0, parent, x))
            sums.append(x.new_zeros(graphs, x.shape[1]).index_add_(0, owner, x))
        return self.joined(torch.cat(sums, 1))


class AnchoredEncoder(nn.Module):
    """A graph isomorphism network and the encoder of coding trees; a graph's embedding joins both.

    Trees are made when a graph is first seen and remembered by its edges.

    Args:
        in_features: of a node. hidden, layers: of the network. height: of the trees. degrees: how many degrees are
            told apart at the vertices, the last standing for all above.
    """

    def __init__(self, in_features: int, hidden: int, layers: int, height: int, degrees: int) -> None:
        super().__init__()
        self.network = GINEncoder(in_features, hidden, layers=layers)
        self.tree = TreeEncoder(in_features + degrees, hidden, height, self.network.out_features)
        self.height, self.degrees = height, degrees
        self.trees: OrderedDict[bytes, CodingTree] = OrderedDict()

    def anchor(self, graphs: WholeGraphs) -> Tensor:
        """The embedding of the coding trees, (B, D)."""
        trees = self._trees(graphs)
        parents, owners = [], []
        for level in range(self.height):
            above = [int(tree.parents[level].max()) + 1 for tree in trees]
            first = np.concatenate([[0], np.cumsum(above)[:-1]])
            numbered = [tree.parents[level] + start for tree, start in zip(trees, first, strict=True)]
            parents.append(torch.from_numpy(np.concatenate(numbered)).to(graphs.x.device))
            owners.append(torch.from_numpy(np.repeat(np.arange(len(trees)), above)).to(graphs.x.device))
        degree = torch.bincount(graphs.edge_index[1], minlength=graphs.num_nodes).clamp_max(max(self.degrees - 1, 0))
        columns = nn.functional.one_hot(degree, max(self.degrees, 1)).to(graphs.x.dtype)[:, : self.degrees]
        return self.tree(torch.cat((graphs.x, columns), 1), parents, owners)

    def _trees(self, graphs: WholeGraphs) -> list[CodingTree]:
        edges, owner = graphs.edge_index.cpu().numpy(), graphs.graph.cpu().numpy()
        sizes = graphs.sizes.cpu().numpy()
        order = np.argsort(owner[edges[0]], kind="stable")
        cuts = np.searchsorted(owner[edges[0]][order], np.arange(1, len(sizes)))
        found, start = [], 0
        for size, part in zip(sizes, np.split(edges[:, order], cuts, axis=1), strict=True):
            own = part - start
            start += size
            key = size.tobytes() + own.tobytes()
            if key not in self.trees:
                adjacency = np.zeros((size, size))
                adjacency[own[0], own[1]] = 1
                self.trees[key] = build_coding_tree(np.maximum(adjacency, adjacency.T), self.height)
                if len(self.trees) > KEPT_TREES:
                    self.trees.popitem(last=False)
            found.append(self.trees[key])
        return found

    def forward(self, graphs: WholeGraphs) -> Tensor:
        return torch.cat((self.network(graphs), self.anchor(graphs)), 1)


class SEGA(Method):
    """Wu et al., 2023, ICML, arXiv 2305.04501.

    One view is a changed graph, as in GraphCL; the other loses nothing: it is the graph's coding tree, a hierarchy of
    groups with small structural entropy, encoded from the vertices upwards. The embedding is that of the network and of
    the tree joined; the release keeps the best of three by the test score.

    Args:
        in_features: number of node features; taken from the data when not given.
        hidden: width of a layer and of a level.
        layers: of the graph isomorphism network.
        height: of the coding trees, at least 2; searched in 2 to 5 in the paper.
        degrees: how many degrees of vertices are told apart; 0 for none.
        change, ratio: as for GraphCL.
        temperature: divides the similarities, above 0.
        symmetric: let the changed graphs ask, too.
        optimization: Adam at a constant rate, as released.
    """

    takes: ClassVar[type | None] = WholeGraphs
    encoder: AnchoredEncoder

    def __init__(
        self,
        in_features: int | None = None,
        *,
        hidden: int = 32,
        layers: int = 3,
        height: int = 3,
        degrees: int = 16,
        change: Change = "random",
        ratio: float = 0.2,
        temperature: float = 0.2,
        symmetric: bool = False,
        optimization: Optimization = Optimization("adam", lr=1e-2, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if in_features is None:
            raise ValueError("in_features is needed: the number of features of a node")
        if height < 2 or degrees < 0:
            raise ValueError(f"height from 2 and degrees from 0 are needed, got {height} and {degrees}")
        self.encoder = AnchoredEncoder(in_features, hidden, layers, height, degrees)
        width = self.encoder.network.out_features
        self.head, self.tree_head = (MLPHead(width, width, width, norm="none") for _ in range(2))
        self.change, self.ratio, self.temperature, self.symmetric = change, ratio, temperature, symmetric

    def views(self, batch: WholeGraphs) -> list[WholeGraphs]:
        return [batch, augment(batch, self.change, self.ratio, self.generator)]

    def loss(self, views: list[WholeGraphs]) -> Tensor:
        whole, changed = views
        anchor = self.tree_head(self.encoder.anchor(whole))
        graph = self.head(self.encoder.network(changed))
        return graph_contrast(anchor, graph, temperature=self.temperature, symmetric=self.symmetric)
