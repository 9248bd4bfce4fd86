"""One graph whose nodes are what is embedded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import sparse

from nearfar.graph.data.kinds import OneGraph
from nearfar.graph.data.sampled import Parts
from nearfar.graph.extra import torch_geometric
from nearfar.parts.sparse_product import compressed
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.labels import one_label
from nearfar.sources.skipped import Skipped
from nearfar.training import Data

# Features of so many cells, of which less than this share is not zero, are multiplied as compressed rows.
LEAST_CELLS, SPARSE = 1 << 16, 0.1
# A graph of more than so many times the nodes that a run watches is watched by a part.
WATCHED = 16


def _compressed(x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The features in compressed rows, and their transpose."""
    found = []
    for matrix in (sparse.csr_matrix(x), sparse.csr_matrix(x.T)):
        starts, indices = (torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices))
        found.append(compressed(starts, indices, torch.from_numpy(matrix.data), matrix.shape))
    return found[0], found[1]


def _simple(edge_index: np.ndarray, nodes: int) -> np.ndarray:
    """The edges without repetitions and loops, in their order."""
    loops = edge_index[0] == edge_index[1]
    first = np.zeros(len(loops), dtype=bool)
    first[np.unique(edge_index[0] * nodes + edge_index[1], return_index=True)[1]] = True
    kept = first & ~loops
    if kept.all():
        return edge_index
    warnings.warn(
        f"{int(loops.sum())} loops from a node to itself and {int((~first & ~loops).sum())} repeated edges of "
        f"{len(kept)} edges were left out",
        stacklevel=3,
    )
    return np.ascontiguousarray(edge_index[:, kept])


class NodeGraph(Data):
    """A graph with node features; one training step sees all of it.

    Args:
        x: (N, F) node features, finite.
        edge_index: (2, E) node numbers, both directions of an undirected edge. Edges that are named again and loops
            from a node to itself are left out with a warning; nodes without edges are kept.
        y: (N,) labels, (N, C) with one 1 in each row, or ``None``; -1, NaN and empty names mean that a node has none.
        name: what to call the graph.
        ids: (N,) whole numbers or names by which people know the nodes; their positions when not given.
        normalize: divide each feature row by its sum, as GRACE does with counts of words. When not given, that is done
            where no feature is negative; signed ones (standardised columns, vectors of another model) have no sum to
            divide by and stay as they are.

    Raises:
        ValueError: shapes or types that do not fit, node numbers out of range, NaN or infinite features, no nodes.
    """

    gives: type | None = OneGraph

    def __init__(
        self,
        x: np.ndarray,
        edge_index: np.ndarray,
        y: np.ndarray | None = None,
        *,
        name: str = "graph",
        normalize: bool | None = None,
        ids: np.ndarray | None = None,
    ) -> None:
        x, edge_index = np.asarray(x), np.asarray(edge_index)
        if x.dtype.kind not in "biuf" or (edge_index.dtype.kind not in "iu" and edge_index.size):
            raise ValueError(
                f"features x must be numbers and edge_index whole numbers, got {x.dtype} and {edge_index.dtype}"
            )
        if x.ndim != 2 or edge_index.ndim != 2 or edge_index.shape[0] != 2:
            raise ValueError(f"expected x (N, F) and edge_index (2, E), got {x.shape} and {edge_index.shape}")
        if 0 in x.shape:
            raise ValueError(
                f"the graph has {x.shape[0]} nodes with {x.shape[1]} features; at least one of each is needed"
            )
        with np.errstate(over="ignore"):
            x, edge_index = x.astype(np.float32), edge_index.astype(np.int64)
        if not np.isfinite(x).all():
            rows = np.unique(np.nonzero(~np.isfinite(x))[0])
            raise ValueError(f"features of {len(rows)} nodes are NaN or infinite, the first is node {rows[0]}")
        if edge_index.size and (edge_index.min() < 0 or edge_index.max() >= len(x)):
            raise ValueError(
                f"edge_index names nodes {edge_index.min()} to {edge_index.max()} of a graph of {len(x)} nodes"
            )
        labels = None if y is None else np.asarray(y)
        if labels is not None and labels.ndim == 2 and len(labels) == len(x):
            labels = one_label(labels, "y")
        if labels is not None and len(labels.reshape(-1)) != len(x):
            raise ValueError(f"y has {labels.size} labels for {len(x)} nodes")
        if labels is not None and (labels.ndim != 1 or labels.dtype.kind not in "biufU"):
            raise ValueError(f"y must be one number or name per node, got {labels.dtype} of shape {labels.shape}")
        self._ids = np.arange(len(x)) if ids is None else np.asarray(ids)
        if self._ids.shape != (len(x),) or self._ids.dtype.kind not in "iuU":
            raise ValueError(f"ids must be {len(x)} whole numbers or names, got {self._ids.dtype} of {self._ids.shape}")
        edge_index = _simple(edge_index, len(x))
        signed = bool((x < 0).any())
        self.normalized = not signed if normalize is None else normalize
        if self.normalized and signed:
            raise ValueError("rows of signed features cannot be divided by their sums; give normalize=False")
        if self.normalized:
            sums = x.sum(1, keepdims=True)
            x = np.divide(x, sums, out=np.zeros_like(x), where=sums > 0)
        geometric = torch_geometric()
        self.graph = geometric.data.Data(x=torch.from_numpy(x), edge_index=torch.from_numpy(edge_index))
        if x.size > LEAST_CELLS and np.count_nonzero(x) < SPARSE * x.size:
            self.graph.rows, self.graph.rows_transposed = _compressed(x)
        self.labels = labels
        self.name = name
        self.parts: Parts | None = None
        self.skipped: Skipped | None = None
        self.notes: tuple[str, ...] = (
            f"{x.shape[1]:,} features, {'each row divided by its sum' if self.normalized else 'as they are'}",
            f"{edge_index.shape[1]:,} directed edges",
        )

    def __len__(self) -> int:
        return 1

    def sample_parts(self, size: int) -> NodeGraph:
        """Let a training step see a random part of so many nodes; embedding still sees the whole graph. Returns
        itself.

        Raises:
            ValueError: a size below 2.
        """
        self.parts = Parts(self.graph.edge_index.numpy(), self.graph.num_nodes, size)
        return self

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """The one graph, or the number from which its part is drawn."""
        return super().order(rng) if self.parts is None else rng.integers(1 << 31, size=1)

    def training_batch(self, indices: np.ndarray) -> Any:
        return self.graph if self.parts is None else self.parts.draw(self.graph.x, int(indices[0]))

    def batch(self, indices: np.ndarray) -> Any:
        return self.graph

    def sample(self, count: int, seed: int = 0) -> Data:
        """What a run watches: the graph itself, or a part of four times ``count`` nodes of one that has many more.

        Graphs that hold more than features and edges are watched whole.
        """
        if self.graph.num_nodes <= WATCHED * count or self.gives is not OneGraph:
            return self
        parts = self.parts or Parts(self.graph.edge_index.numpy(), self.graph.num_nodes, 4 * count)
        nodes = parts.nodes(np.random.default_rng(seed), 4 * count)
        return Part(self, nodes, parts.cut(self.graph.x, nodes))

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    @property
    def facts(self) -> Mapping[str, Any]:
        known = {} if self.labels is None else {"clusters": len(np.unique(self.labels))}
        return {"in_features": self.graph.num_node_features, "size": self.graph.num_nodes, **known}

    def contents(self) -> Mapping[str, str]:
        parts = {"x": self.graph.x, "edge_index": self.graph.edge_index, "y": self.labels}
        return {name: digest_of(part) for name, part in parts.items() if part is not None}


class Part(Data):
    """Some nodes of a graph with the edges between them."""

    def __init__(self, whole: NodeGraph, nodes: np.ndarray, graph: Any) -> None:
        self.name, self.gives, self.graph = whole.name, whole.gives, graph
        self.labels = None if whole.labels is None else whole.labels[nodes]
        self._ids, self._facts = whole.ids[nodes], whole.facts

    def __len__(self) -> int:
        return 1

    def batch(self, indices: np.ndarray) -> Any:
        return self.graph

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._facts
