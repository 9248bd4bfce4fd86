"""Coding trees: a graph as a hierarchy of groups with small structural entropy (SEGA)."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Node:
    """A group of vertices.

    Attributes:
        children: numbers of the nodes below; none for a vertex.
        parent: number of the node above; -1 for the root.
        volume: the degrees of the vertices in it.
        cut: the weight of the edges that leave it.
        child_cut: the weight between the two nodes that it was merged from, and of those that were taken out below it.
        vertices: which vertices are in it.
    """

    volume: float
    cut: float
    children: list[int] = field(default_factory=list)
    parent: int = -1
    child_cut: float = 0.0
    vertices: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class CodingTree:
    """A tree in which every vertex is as far from the root.

    Attributes:
        parents: for each level from the vertices upwards the number, within the level above, of each node's parent.
    """

    parents: tuple[np.ndarray, ...]

    @property
    def height(self) -> int:
        return len(self.parents)

    def groups(self) -> np.ndarray:
        """(height + 1, N): the number of each vertex' ancestor at every level; level 0 are the vertices."""
        rows = [np.arange(len(self.parents[0]))]
        for above in self.parents:
            rows.append(above[rows[-1]])
        return np.stack(rows)


def merge_cost(v1: float, g1: float, v2: float, g2: float, cut: float, total: float) -> float:
    """By how much joining two groups under the root changes the structural entropy; as released, with 1 added to
    volumes and cuts."""
    v1, g1, v2, g2 = v1 + 1, g1 + 1, v2 + 1, g2 + 1
    both = v1 + v2
    own = (v1 - g1) * math.log2(both / v1) + (v2 - g2) * math.log2(both / v2)
    return (own - 2 * cut * math.log2(total / both)) / total


def removal_cost(child_cut: float, volume: float, parent_volume: float) -> float:
    """By how much taking a group out from between its children and its parent raises the structural entropy, times
    the graph's volume."""
    return child_cut * math.log2((parent_volume + 1) / (volume + 1))


def tree_entropy(tree: CodingTree, adjacency: np.ndarray) -> float:
    """The structural entropy of a tree (Li and Pan, 2016), with 1 added to both volumes in the logarithm."""
    weights = _without_loops(adjacency)
    total, groups = float(weights.sum()), tree.groups()
    if not total:
        return 0.0
    volumes = [np.bincount(row, weights=weights.sum(1)) for row in groups]
    value = 0.0
    for level in range(tree.height):
        row = groups[level]
        inside = np.zeros(len(volumes[level]))
        source, target = np.nonzero(weights)
        same = row[source] == row[target]
        np.add.at(inside, row[source[same]], weights[source[same], target[same]])
        cuts = volumes[level] - inside
        above = volumes[level + 1][tree.parents[level]]
        value -= float((cuts / total * np.log2((volumes[level] + 1) / (above + 1))).sum())
    return value


def _without_loops(adjacency: np.ndarray) -> np.ndarray:
    weights = np.array(adjacency, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not len(weights):
        raise ValueError(f"an adjacency must be square, got {weights.shape}")
    if not np.allclose(weights, weights.T) or (weights < 0).any():
        raise ValueError("an adjacency must be symmetric with weights of at least 0")
    np.fill_diagonal(weights, 0)
    return weights


class Merged:
    """The greedy tree of two levels over some items: merge while anything is adjacent, then flatten to height 2.

    Args:
        weights: (n, n) between the items.
        volumes: (n,) of the items. cuts: (n,).
        total: the volume that costs are shares of.
    """

    def __init__(self, weights: np.ndarray, volumes: np.ndarray, cuts: np.ndarray, total: float) -> None:
        self.total = total
        self.nodes = [
            Node(float(v), float(g), vertices=[i]) for i, (v, g) in enumerate(zip(volumes, cuts, strict=True))
        ]
        self.links: list[dict[int, float]] = [
            {int(j): float(row[j]) for j in np.flatnonzero(row) if j != i} for i, row in enumerate(weights)
        ]
        self.root = self._merge()

    def _cost(self, a: int, b: int) -> float:
        one, two = self.nodes[a], self.nodes[b]
        return merge_cost(one.volume, one.cut, two.volume, two.cut, self.links[a][b], self.total)

    def _merge(self) -> int:
        count = len(self.nodes)
        heap = [(self._cost(a, b), a, b) for a in range(count) for b in self.links[a] if a < b]
        heapq.heapify(heap)
        gone: set[int] = set()
        while heap:
            _, a, b = heapq.heappop(heap)
            if a in gone or b in gone:
                continue
            gone |= {a, b}
            new = self._join([a, b], self.links[a][b])
            shared: dict[int, float] = {}
            for part in (a, b):
                for other, weight in self.links[part].items():
                    if other not in (a, b):
                        shared[other] = shared.get(other, 0.0) + weight
            self.links.append(shared)
            for other, weight in shared.items():
                for part in (a, b):
                    self.links[other].pop(part, None)
                self.links[other][new] = weight
            for other in shared:
                heapq.heappush(heap, (self._cost(new, other), min(new, other), max(new, other)))
        tops = [i for i in range(len(self.nodes)) if i not in gone]
        if len(tops) == 1 and self.nodes[tops[0]].children:
            return tops[0]
        return self._join(tops, 0.0)

    def _join(self, parts: list[int], between: float) -> int:
        new = Node(
            sum(self.nodes[p].volume for p in parts),
            sum(self.nodes[p].cut for p in parts) - 2 * between,
            list(parts),
            child_cut=between,
            vertices=[v for p in parts for v in self.nodes[p].vertices],
        )
        self.nodes.append(new)
        for part in parts:
            self.nodes[part].parent = len(self.nodes) - 1
        return len(self.nodes) - 1

    def heights(self) -> dict[int, int]:
        """The longest way down from each node below the root."""
        found: dict[int, int] = {}

        def height(node: int) -> int:
            found[node] = 1 + max(map(height, self.nodes[node].children), default=-1)
            return found[node]

        height(self.root)
        return found

    def flatten(self, height: int = 2) -> None:
        """Take inner nodes out, cheapest first, until no way from the root is longer than ``height``.

        Only nodes on a way that is too long are candidates.
        """
        while True:
            heights = self.heights()
            if heights[self.root] <= height:
                return
            depth = {self.root: 0}
            order = [self.root]
            for node in order:
                for child in self.nodes[node].children:
                    depth[child] = depth[node] + 1
                    order.append(child)
            inner = [n for n in order if n != self.root and self.nodes[n].children and depth[n] + heights[n] > height]
            chosen = min(inner, key=lambda n: (self._removal(n), n))
            self._remove(chosen)

    def _removal(self, node: int) -> float:
        own = self.nodes[node]
        return removal_cost(own.child_cut, own.volume, self.nodes[own.parent].volume)

    def _remove(self, node: int) -> None:
        own = self.nodes[node]
        above = self.nodes[own.parent]
        above.children.remove(node)
        above.children += own.children
        above.child_cut += own.child_cut
        for child in own.children:
            self.nodes[child].parent = own.parent

    def parts(self) -> list[list[int]]:
        """The items under each child of the root."""
        return [self.nodes[child].vertices for child in self.nodes[self.root].children]


def grouped(weights: np.ndarray, volumes: np.ndarray, cuts: np.ndarray, total: float) -> list[list[int]]:
    """Items in groups by the greedy tree of height 2."""
    tree = Merged(weights, volumes, cuts, total)
    tree.flatten()
    return tree.parts()


def build_coding_tree(adjacency: np.ndarray, height: int = 3) -> CodingTree:
    """The greedy coding tree of a graph (arXiv 2305.04501; released code, ``codingTree.py``).

    Adjacent groups are merged while there are any, by the smallest change of the structural entropy; the tree is
    flattened to height 2 and raised again one level at a time, below the root or above the vertices, whichever gains
    more. Loops are left out; vertices without edges are groups of their own.

    Args:
        adjacency: (N, N) symmetric weights, at least 0.
        height: levels above the vertices, at least 2.

    Raises:
        ValueError: no symmetric adjacency; a height below 2.
    """
    if height < 2:
        raise ValueError(f"height must be at least 2, got {height}")
    weights = _without_loops(adjacency)
    degrees = weights.sum(1)
    total = float(degrees.sum())
    if not total:
        flat = np.zeros(len(weights), dtype=np.int64)
        own = np.arange(len(weights))
        return CodingTree((*[own] * (height - 1), flat))
    parts = grouped(weights, degrees, degrees, total)
    levels = [_labels(parts, len(weights)), np.zeros(len(parts), dtype=np.int64)]
    while len(levels) < height:
        levels = _raised(levels, weights, total)
    return CodingTree(tuple(levels))


def _labels(parts: list[list[int]], count: int) -> np.ndarray:
    labels = np.empty(count, dtype=np.int64)
    for number, part in enumerate(parts):
        labels[part] = number
    return labels


def _raised(levels: list[np.ndarray], weights: np.ndarray, total: float) -> list[np.ndarray]:
    """One level more: a split under the root, or of every group of vertices; the latter where both gain the same."""
    top, top_gain = _split_root(levels, weights, total)
    leaf, leaf_gain = _split_leaves(levels, weights, total)
    return leaf if leaf_gain >= top_gain else top


def _between(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(K, K) weights between groups, without what lies inside."""
    member = np.zeros((labels.max() + 1, len(labels)))
    member[labels, np.arange(len(labels))] = 1
    found = member @ weights @ member.T
    np.fill_diagonal(found, 0)
    return found


def _split_root(levels: list[np.ndarray], weights: np.ndarray, total: float) -> tuple[list[np.ndarray], float]:
    labels = np.arange(len(weights))
    for above in levels[:-1]:
        labels = above[labels]
    count = int(labels.max()) + 1
    same = [*levels[:-1], np.arange(count), np.zeros(count, dtype=np.int64)]
    if count < 3:
        return same, 0.0
    between = _between(labels, weights)
    volumes = np.bincount(labels, weights=weights.sum(1))
    cuts = between.sum(1)
    parts = grouped(between, volumes, cuts, total)
    mid = _labels(parts, count)
    before = -float((cuts / total * np.log2((volumes + 1) / total)).sum())
    above = np.bincount(mid, weights=volumes)
    mid_cuts = _between(mid, between).sum(1)
    after = -float((cuts / total * np.log2((volumes + 1) / (above[mid] + 1))).sum())
    after -= float((mid_cuts / total * np.log2((above + 1) / (total + 1))).sum())
    return [*levels[:-1], mid, np.zeros(len(parts), dtype=np.int64)], (before - after) / count


def _split_leaves(levels: list[np.ndarray], weights: np.ndarray, total: float) -> tuple[list[np.ndarray], float]:
    labels, degrees = levels[0], weights.sum(1)
    new = np.empty(len(labels), dtype=np.int64)
    above: list[int] = []
    gain = 0.0
    for group in range(int(labels.max()) + 1):
        inside = np.flatnonzero(labels == group)
        volume = float(degrees[inside].sum())
        if len(inside) < 3:  # each vertex gets a node of its own in between
            new[inside] = len(above) + np.arange(len(inside))
            above += [group] * len(inside)
            continue
        own = weights[np.ix_(inside, inside)]
        volumes = own.sum(1)
        # The root of the group's own tree has what is inside it alone.
        parts = grouped(own, volumes, volumes, max(float(volumes.sum()), 1e-12))
        mid = _labels(parts, len(inside))
        whole = np.bincount(mid, weights=degrees[inside])
        kept = np.zeros(len(parts))
        np.add.at(kept, mid, [own[i][mid == mid[i]].sum() for i in range(len(inside))])
        cuts = whole - kept
        ends = degrees[inside]
        before = -float((ends / total * np.log2((ends + 1) / (volume + 1))).sum())
        after = -float((ends / total * np.log2((ends + 1) / (whole[mid] + 1))).sum())
        after -= float((cuts / total * np.log2((whole + 1) / (volume + 1))).sum())
        gain += before - after
        new[inside] = len(above) + mid
        above += [group] * len(parts)
    return [new, np.array(above, dtype=np.int64), *levels[1:]], gain / len(labels)
