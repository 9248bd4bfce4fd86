"""One graph whose nodes are what is embedded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nearfar.graph.extra import torch_geometric
from nearfar.training import Data


class NodeGraph(Data):
    """A graph with node features; one training step sees all of it.

    Args:
        x: (N, F) node features, finite; rows are scaled to sum 1 (as GRACE does) when ``normalize``.
        edge_index: (2, E) node numbers, both directions of an undirected edge.
        y: (N,) labels or ``None``.
        name: what to call the graph.
        normalize: divide each feature row by its sum.

    Raises:
        ValueError: shapes that do not fit, node numbers out of range, NaN or infinite features.
    """

    def __init__(
        self,
        x: np.ndarray,
        edge_index: np.ndarray,
        y: np.ndarray | None = None,
        *,
        name: str = "graph",
        normalize: bool = True,
    ) -> None:
        x, edge_index = np.asarray(x, dtype=np.float32), np.asarray(edge_index, dtype=np.int64)
        if x.ndim != 2 or edge_index.ndim != 2 or edge_index.shape[0] != 2:
            raise ValueError(f"expected x (N, F) and edge_index (2, E), got {x.shape} and {edge_index.shape}")
        if not np.isfinite(x).all():
            rows = np.unique(np.nonzero(~np.isfinite(x))[0])
            raise ValueError(f"features of {len(rows)} nodes are NaN or infinite, the first is node {rows[0]}")
        if edge_index.size and (edge_index.min() < 0 or edge_index.max() >= len(x)):
            raise ValueError(
                f"edge_index names nodes {edge_index.min()} to {edge_index.max()} of a graph of {len(x)} nodes"
            )
        if y is not None and len(y) != len(x):
            raise ValueError(f"y has {len(y)} labels for {len(x)} nodes")
        if normalize:
            sums = x.sum(1, keepdims=True)
            x = np.divide(x, sums, out=np.zeros_like(x), where=sums > 0)
        geometric = torch_geometric()
        self.graph = geometric.data.Data(x=torch.from_numpy(x), edge_index=torch.from_numpy(edge_index))
        self.labels = None if y is None else np.asarray(y)
        self.name = name

    def __len__(self) -> int:
        return 1

    def batch(self, indices: np.ndarray) -> Any:
        return self.graph

    @property
    def ids(self) -> np.ndarray:
        return np.arange(self.graph.num_nodes)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"in_features": self.graph.num_node_features}
