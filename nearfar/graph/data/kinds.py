"""The kinds of graph data, by which methods say what they learn from, and a batch of whole graphs."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor


class _Like(type):
    """Whatever has the attributes of a class is an instance of it: graphs are PyTorch Geometric's, or anybody's."""

    def __instancecheck__(cls, batch: Any) -> bool:
        return not isinstance(batch, tuple) and all(hasattr(batch, name) for name in cls.needs)  # type: ignore[attr-defined]


class OneGraph(metaclass=_Like):
    """One graph, whose nodes are what is embedded."""

    needs: tuple[str, ...] = ("x", "edge_index")


class LinkedKinds(OneGraph):
    """One graph of several kinds of nodes, of which one kind is embedded."""

    needs = ("x", "edge_index", "kinds")


class WholeGraphs(NamedTuple):
    """Whole graphs, each of which is embedded.

    Attributes:
        x: (N, F) features of the nodes of all graphs.
        edge_index: (2, E) from sources to targets, both directions of an undirected edge, numbered through all graphs.
        graph: (N,) the number of each node's graph in the batch, ascending.
        sizes: (B,) the number of nodes of each graph.
    """

    x: Tensor
    edge_index: Tensor
    graph: Tensor
    sizes: Tensor

    @property
    def num_nodes(self) -> int:
        return len(self.x)

    def total(self, values: Tensor) -> Tensor:
        """The sum of ``values`` (N, D) over each graph's nodes, (B, D)."""
        return values.new_zeros(len(self.sizes), values.shape[1]).index_add_(0, self.graph, values)
