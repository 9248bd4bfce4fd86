"""A graph of what is known around molecules: cells, genes, expression, each node with features of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.common.share import for_examples

__all__ = ["ContextGraph", "Link", "Visited", "nearest_links"]

MOLECULE = "molecule"


class Link(NamedTuple):
    """Edges between a kind's nodes and molecules: (E,) molecules, (E,) nodes of the kind, (E,) weights."""

    molecules: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray


class Visited(NamedTuple):
    """What walks met of one kind: whose walk it was (M,), the features met (M, D), and the walk's weight there (M,)."""

    owner: Tensor
    features: Tensor
    weights: Tensor


class ContextGraph:
    """Molecules, the first nodes, and nodes of other kinds, with weighted edges in both directions.

    Features are scaled to [0, 1] in every column; NaN stays and is what nobody measured.

    Args:
        fingerprints: (N, bits) in [0, 1], of the molecules.
        kinds: features (M, D) of the nodes of each other kind, NaN where missing.
        links: of each kind to molecules, with weights of at least 0; 1 for what was measured together.
        least: similarity from which two nodes of one kind may be linked, in [0, 1]; see :func:`nearest_links`.

    Raises:
        ValueError: features or links that do not fit.
    """

    def __init__(
        self,
        fingerprints: np.ndarray,
        kinds: Mapping[str, np.ndarray] | None = None,
        links: Mapping[str, Link] | None = None,
        *,
        least: float = 0.6,
    ) -> None:
        kinds, links = dict(kinds or {}), dict(links or {})
        if MOLECULE in kinds or set(kinds) != set(links):
            raise ValueError(
                f"every kind beside {MOLECULE!r} needs features and links, got features of {sorted(kinds)} and links "
                f"of {sorted(links)}"
            )
        self.features = {MOLECULE: np.asarray(fingerprints, dtype=np.float32)}
        self.first = {MOLECULE: 0}
        count = len(fingerprints)
        edges = [nearest_links(self.features[MOLECULE], least, measure="tanimoto")]
        for kind, features in kinds.items():
            if features.ndim != 2 or not len(features) or np.isinf(features).any():
                raise ValueError(f"features of {kind} must be a matrix without infinite numbers, got {features.shape}")
            self.features[kind], self.first[kind] = _scaled(features), count
            found = nearest_links(self.features[kind], least)
            edges.append(found._replace(molecules=found.molecules + count, nodes=found.nodes + count))
            link = Link(*(np.asarray(part) for part in links[kind]))
            self._check(kind, link)
            edges.append(link._replace(nodes=link.nodes + count))
            count += len(features)
        source = np.concatenate([np.concatenate([each.molecules, each.nodes]) for each in edges]).astype(np.int64)
        target = np.concatenate([np.concatenate([each.nodes, each.molecules]) for each in edges]).astype(np.int64)
        weight = np.concatenate([np.concatenate([each.weights, each.weights]) for each in edges])
        order = np.argsort(source, kind="stable")
        self.starts = torch.from_numpy(np.searchsorted(source[order], np.arange(count + 1)))
        self.targets = torch.from_numpy(target[order])
        self.weights = torch.from_numpy(weight[order].astype(np.float32))
        self.tables = {kind: torch.from_numpy(each) for kind, each in self.features.items()}
        self._elsewhere: dict[torch.device, ContextGraph] = {}

    @property
    def widths(self) -> dict[str, int]:
        """How many features the nodes of each kind have."""
        return {kind: features.shape[1] for kind, features in self.features.items()}

    def to(self, device: torch.device | str, **_: Any) -> ContextGraph:
        """The same on a device, where it is copied once."""
        device = torch.device(device)
        if device == self.starts.device:
            return self
        if device not in self._elsewhere:
            moved = object.__new__(ContextGraph)
            moved.__dict__ = {**self.__dict__, "_elsewhere": {}}
            for name in ("starts", "targets", "weights"):
                setattr(moved, name, getattr(self, name).to(device))
            moved.tables = {kind: each.to(device) for kind, each in self.tables.items()}
            self._elsewhere[device] = moved
        return self._elsewhere[device]

    def walk(self, start: Tensor, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Nodes (B, L + 1) of walks that take any edge with equal chance, and the product of their weights so far.

        A walk that cannot go on stays, with weight 0.
        """
        if not len(self.targets):
            stuck = torch.zeros(len(start), length, device=start.device)
            return start[:, None].repeat(1, length + 1), torch.cat([stuck.new_ones(len(start), 1), stuck], 1)
        drawn = for_examples(
            lambda n: torch.rand(n, length, device=start.device, generator=generator), len(start)
        ).unbind(1)
        nodes, weights = [start], [torch.ones(len(start), device=start.device)]
        for chance in drawn:
            here = nodes[-1]
            edges = self.starts[here + 1] - self.starts[here]
            edge = self.starts[here] + (chance * edges).long().clamp_max((edges - 1).clamp_min(0))
            edge = edge.clamp_max(len(self.targets) - 1)
            goes = edges > 0
            nodes.append(torch.where(goes, self.targets[edge], here))
            weights.append(torch.where(goes, weights[-1] * self.weights[edge], 0.0))
        return torch.stack(nodes, 1), torch.stack(weights, 1)

    def visited(self, nodes: Tensor, weights: Tensor) -> dict[str, Visited]:
        """What walks (B, L + 1) met, by kind."""
        found = {}
        for kind, table in self.tables.items():
            place = nodes - self.first[kind]
            owner, step = torch.nonzero((place >= 0) & (place < len(table)), as_tuple=True)
            found[kind] = Visited(owner, table[place[owner, step]], weights[owner, step])
        return found

    def _check(self, kind: str, link: Link) -> None:
        sizes = {part.shape for part in link}
        if len(sizes) > 1 or link.molecules.ndim != 1:
            raise ValueError(f"links of {kind} need as many molecules as nodes and weights, got {sorted(sizes)}")
        for name, part, most in (
            ("molecules", link.molecules, len(self.features[MOLECULE])),
            ("nodes", link.nodes, len(self.features[kind])),
        ):
            if part.size and (part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= most):
                raise ValueError(f"links of {kind} name {name} {part.min()} to {part.max()}, of {most}")
        if not (np.isfinite(link.weights).all() and (np.asarray(link.weights) >= 0).all()):
            raise ValueError(f"weights of links of {kind} must be finite and at least 0")


def nearest_links(
    features: np.ndarray, least: float, *, share: float = 0.005, measure: str = "cosine", block: int = 1024
) -> Link:
    """Pairs of rows whose similarity is above a threshold, with the similarity as their weight.

    The threshold is that above which the ``share`` of most similar pairs lies, but in [``least``, 0.99], which is what
    released code looks for by bisection. There pairs are compared within groups of one scaffold or cluster; here all
    are.

    Args:
        features: (N, D) at least 0; NaN counts as 0.
        least: smallest threshold.
        share: of all pairs.
        measure: ``tanimoto`` of zeros and ones, or ``cosine`` of standardised rows.
        block: rows compared with all others at a time.
    """
    x = np.nan_to_num(np.asarray(features, dtype=np.float32))
    if measure == "cosine":
        x = (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-10)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-10)
    rows, columns, values = [], [], []
    total = x.sum(1)
    for first in range(0, len(x), block):
        near = x[first : first + block] @ x.T
        if measure == "tanimoto":
            near = near / np.maximum(total[first : first + block, None] + total - near, 1e-10)
        row, column = np.nonzero((near >= least) & (np.arange(len(x)) > np.arange(first, first + len(near))[:, None]))
        rows.append(row + first)
        columns.append(column)
        values.append(near[row, column])
    value = np.concatenate(values)
    most = int(share * len(x) * (len(x) - 1) / 2)
    threshold = np.partition(value, -most - 1)[-most - 1] if len(value) > most else least
    kept = value >= min(max(threshold, least), 0.99)
    return Link(np.concatenate(rows)[kept], np.concatenate(columns)[kept], value[kept])


def _scaled(features: np.ndarray) -> np.ndarray:
    x = np.asarray(features, dtype=np.float32)
    known = ~np.isnan(x)
    low = np.min(np.where(known, x, np.inf), 0, keepdims=True)
    high = np.max(np.where(known, x, -np.inf), 0, keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    return ((x - np.where(np.isfinite(low), low, 0.0)) / span).astype(np.float32)
