"""Many small graphs, each an example: from TU folders, archives, and generated ones with motifs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar.graph.data.kinds import WholeGraphs
from nearfar.sources.fingerprint import digest_of
from nearfar.training import Data

MOST_TAGS = 1000


class GraphSet(Data):
    """Graphs with node features.

    Args:
        x: (N, F) features of the nodes of all graphs, finite.
        edges: for each graph (2, E_g) node numbers within the graph; each undirected edge once or in both directions.
        sizes: (G,) how many nodes each graph has, at least 1; they sum to N.
        y: (G,) labels or ``None``.
        name: what to call the set.

    Raises:
        ValueError: sizes that do not fit, node numbers out of range, features that are not finite.
    """

    gives = WholeGraphs

    def __init__(self, x: Any, edges: Sequence[np.ndarray], sizes: Any, y: Any = None, *, name: str = "graphs") -> None:
        x, sizes = np.asarray(x, dtype=np.float32), np.asarray(sizes, dtype=np.int64)
        if x.ndim != 2 or sizes.ndim != 1 or not len(sizes) or sizes.min() < 1 or sizes.sum() != len(x):
            raise ValueError(f"{name}: expected features (N, F) of graphs of one node or more, whose sizes sum to N")
        if len(edges) != len(sizes) or (y is not None and len(y) != len(sizes)):
            raise ValueError(f"{name} has {len(sizes)} graphs, {len(edges)} lists of edges and {np.size(y)} labels")
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: features are NaN or infinite, first of node {np.nonzero(~np.isfinite(x))[0][0]}")
        self.edges = [
            _both_ways(part, int(size), f"{name}, graph {i}")
            for i, (part, size) in enumerate(zip(edges, sizes, strict=True))
        ]
        self.x = np.split(x, np.cumsum(sizes)[:-1])
        self.sizes = sizes
        self.labels = None if y is None else np.asarray(y)
        self.name = name

    def __len__(self) -> int:
        return len(self.sizes)

    def batch(self, indices: np.ndarray) -> WholeGraphs:
        sizes = self.sizes[indices]
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        edges = [self.edges[g] + start for g, start in zip(indices, first, strict=True)]
        return WholeGraphs(
            torch.from_numpy(np.concatenate([self.x[g] for g in indices])),
            torch.from_numpy(np.concatenate(edges, axis=1)),
            torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
            torch.from_numpy(sizes),
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"in_features": self.x[0].shape[1]}

    def contents(self) -> Mapping[str, str]:
        parts = {"x": self.x, "edges": self.edges, "y": self.labels}
        return {name: digest_of(part) for name, part in parts.items() if part is not None}


def _both_ways(edges: np.ndarray, nodes: int, where: str) -> np.ndarray:
    edges = np.asarray(edges, dtype=np.int64).reshape(2, -1)
    if edges.size and (edges.min() < 0 or edges.max() >= nodes):
        raise ValueError(f"{where}: edges name nodes {edges.min()} to {edges.max()} of {nodes}")
    edges = edges[:, edges[0] != edges[1]]
    keys = np.unique(np.concatenate([edges[0] * nodes + edges[1], edges[1] * nodes + edges[0]]))
    return np.stack([keys // nodes, keys % nodes])


def one_hot(tags: np.ndarray) -> np.ndarray:
    """A column for each tag; a column of ones where all are the same."""
    found, codes = np.unique(tags, return_inverse=True)
    if len(found) > MOST_TAGS:
        raise ValueError(f"nodes have {len(found)} different labels; up to {MOST_TAGS} become features")
    return np.eye(len(found), dtype=np.float32)[codes]


def from_archive(arrays: Mapping[str, np.ndarray], name: str) -> GraphSet:
    """Graphs from ``node_off``, ``edge_off``, ``edges`` and perhaps ``node_tag`` or ``x``, and ``y``."""
    nodes, links = arrays["node_off"].astype(np.int64), arrays["edge_off"].astype(np.int64)
    if len(nodes) != len(links) or (np.diff(nodes) < 0).any() or (np.diff(links) < 0).any():
        raise ValueError("node_off and edge_off must be equally long and ascending")
    edges = np.split(arrays["edges"].astype(np.int64), links[1:-1], axis=1)
    if "x" in arrays:
        x = arrays["x"]
    else:
        x = one_hot(arrays.get("node_tag", np.zeros(nodes[-1], dtype=np.int64)))
    return GraphSet(x, edges, np.diff(nodes), arrays.get("y"), name=name)


def from_tu(folder: Path) -> GraphSet:
    """Graphs of a folder in the form of the TU collection: ``NAME_A.txt``, ``NAME_graph_indicator.txt`` and kin."""
    found = sorted(folder.glob("*_A.txt"))
    if len(found) != 1:
        raise ValueError(f"{folder} holds {len(found)} files *_A.txt; expected one, as in the TU collection")
    stem = found[0].name.removesuffix("_A.txt")

    def numbers(part: str, needed: bool = False) -> np.ndarray | None:
        path = folder / f"{stem}_{part}.txt"
        if not path.is_file():
            if needed:
                raise ValueError(f"{folder} has no {path.name}, which says {part.replace('_', ' ')}")
            return None
        try:
            return np.loadtxt(path, delimiter=",", ndmin=2)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    edges, owner = numbers("A", True), numbers("graph_indicator", True)
    assert edges is not None
    assert owner is not None
    graph = owner[:, 0].astype(np.int64)
    if (np.diff(graph) < 0).any():
        raise ValueError(f"{stem}_graph_indicator.txt must be ascending")
    names, sizes = np.unique(graph, return_counts=True)
    links = edges.astype(np.int64).T - 1
    if links.size and (links.min() < 0 or links.max() >= len(graph)):
        raise ValueError(f"{stem}_A.txt names nodes {links.min() + 1} to {links.max() + 1} of {len(graph)}")
    first = np.concatenate([[0], np.cumsum(sizes)])
    position = np.searchsorted(names, graph)
    if links.size and (position[links[0]] != position[links[1]]).any():
        raise ValueError(f"{stem}_A.txt links nodes of different graphs")
    order = np.argsort(position[links[0]], kind="stable")
    cuts = np.searchsorted(position[links[0]][order], np.arange(1, len(names)))
    parts = [part - first[g] for g, part in enumerate(np.split(links[:, order], cuts, axis=1))]
    attributes, tags, y = numbers("node_attributes"), numbers("node_labels"), numbers("graph_labels")
    columns = [] if attributes is None else [attributes]
    if tags is not None or not columns:
        columns.append(one_hot(np.zeros(len(graph)) if tags is None else tags[:, 0]))
    labels = None if y is None else y[:, 0].astype(np.int64)
    return GraphSet(np.concatenate(columns, 1), parts, sizes, labels, name=stem)


MOTIFS: tuple[tuple[tuple[int, int], ...], ...] = (
    ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)),  # a ring
    ((0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)),  # a house
    ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)),  # all with all
    ((0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4)),  # two sides
)


def motif_graphs(count: int = 240, seed: int = 0) -> GraphSet:
    """Random trees of 10 to 24 nodes with three copies of one of four motifs of six edges hung on them.

    The class is the motif; all nodes have the same feature, so that only the structure tells. Number of nodes and
    edges overlap between classes.

    Args:
        count: of graphs, at least 8.
        seed: equal arguments give equal graphs.
    """
    if count < 8:
        raise ValueError(f"at least 8 graphs are needed, got {count}")
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count) % len(MOTIFS))
    edges, sizes = [], []
    for label in y:
        size = int(rng.integers(10, 25))
        links = [(node, int(rng.integers(node))) for node in range(1, size)]
        for _ in range(3):
            motif = MOTIFS[label]
            links += [(a + size, b + size) for a, b in motif]
            links.append((int(rng.integers(size)), size + int(rng.integers(1 + max(map(max, motif))))))
            size += 1 + max(map(max, motif))
        edges.append(np.array(links, dtype=np.int64).T)
        sizes.append(size)
    return GraphSet(np.ones((sum(sizes), 1)), edges, sizes, y, name="motifs")
