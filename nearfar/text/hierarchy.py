"""Pairs of texts under a hierarchy of labels: how they attend to each other, and how labels see one another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CoAttention", "Hierarchy", "LabelGraph", "MutualAttention"]


class MutualAttention(nn.Module):
    """Every token attends to the tokens of one text: projections without bias, and the input is added.

    Args:
        width: of the states.
        heads: a divisor of ``width``.
        dropout: of the attention and of the output, in [0, 1).

    Shape: states (N, T, width) and a mask (N, T) of what may be attended to, to (N, T, width).
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"heads must divide the width {width}, got {heads}")
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (
            part(states).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        logits = q @ k.transpose(2, 3) / q.shape[3] ** 0.5
        # A large number as released and no infinity: a text without tokens is attended to evenly.
        logits = logits + (1 - mask.to(logits.dtype))[:, None, None] * -1e9
        weights = F.dropout(logits.softmax(3), self.dropout, self.training)
        found = self.out((weights @ v).transpose(1, 2).flatten(2))
        return F.dropout(found, self.dropout, self.training) + states


class CoAttention(nn.Module):
    """Rounds in which the tokens of each text look at the other's, all with the same weights.

    Args:
        width: of the states.
        heads: of both attentions.
        rounds: how often, at least 0.
        dropout: in both attentions.

    Shape: states (N, T, width) and masks (N, T) of the first and the second text, to (N, T, width); what is in neither
    mask is the norm of 0.
    """

    def __init__(self, width: int, heads: int, rounds: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        if rounds < 0:
            raise ValueError(f"rounds of attention must be at least 0, got {rounds}")
        self.rounds = rounds
        self.to_first, self.to_second = (MutualAttention(width, heads, dropout) for _ in range(2))
        self.norm = nn.LayerNorm(width)

    def forward(self, states: Tensor, first: Tensor, second: Tensor) -> Tensor:
        of_first, of_second = (mask.unsqueeze(2).to(states.dtype) for mask in (first, second))
        for _ in range(self.rounds):
            seen = self.to_second(states, second) * of_first + self.to_first(states, first) * of_second
            states = self.norm(seen)
        return states


class Hierarchy:
    """Labels at several levels, each example's a path from the top down.

    Args:
        paths: the paths that there are, of one length; labels at one level are told apart by name. An empty name is a
            level that is not known, and no label.

    Raises:
        ValueError: no path, paths of several lengths, or a level without a label.

    Attributes:
        names: of each level its labels, sorted.
        edges: pairs of labels that follow one another in some path, as numbers over all levels.
        paths: the whole ones among the paths, as label numbers inside their levels.
    """

    def __init__(self, paths: Sequence[Sequence[str]]) -> None:
        if not paths or len({len(path) for path in paths}) != 1 or not paths[0]:
            raise ValueError("a hierarchy has at least one path of labels, and all of one length")
        self.names = [sorted({path[level] for path in paths} - {""}) for level in range(len(paths[0]))]
        if not all(self.names):
            raise ValueError(f"level {self.names.index([]) + 1} of the hierarchy has no label")
        self._numbers = [{name: number for number, name in enumerate(names)} for names in self.names]
        starts = [sum(map(len, self.names[:level])) for level in range(len(self.names))]
        numbered = self.numbers(paths).tolist()
        self.edges = sorted(
            {
                (starts[level] + a, starts[level + 1] + b)
                for path in numbered
                for level, (a, b) in enumerate(pairwise(path))
                if min(a, b) >= 0
            }
        )
        self.paths = {tuple(path) for path in numbered if min(path) >= 0}

    @property
    def sizes(self) -> list[int]:
        """The number of labels at each level."""
        return [len(names) for names in self.names]

    def numbers(self, paths: Sequence[Sequence[str]]) -> Tensor:
        """(N, levels) int64, a label's number inside its level; -1 for what is not known or not in the hierarchy."""
        found = [[numbers.get(name, -1) for numbers, name in zip(self._numbers, p, strict=True)] for p in paths]
        return torch.tensor(found, dtype=torch.long).view(len(paths), len(self.names))


class LabelGraph(nn.Module):
    """A vector for every label of a hierarchy, after two graph convolutions over its edges.

    Args:
        hierarchy: the labels and what they are connected to.
        width: of the labels' own vectors and of the convolutions.
        out: width of the result.
        layers: convolutions (Kipf and Welling: symmetric normalisation, loops), each with ReLU and dropout.
        dropout: in [0, 1).

    Shape: to (labels, out), level after level.
    """

    adjacency: Tensor

    def __init__(self, hierarchy: Hierarchy, width: int, out: int, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        count = sum(hierarchy.sizes)
        self.own = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(count, width), a=5**0.5))
        self.convolutions = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.biases = nn.ParameterList(torch.zeros(width) for _ in range(layers))
        self.project = nn.Sequential(nn.Linear(width, out), nn.Tanh())
        self.sizes, self.dropout = hierarchy.sizes, dropout
        near = torch.eye(count)
        for a, b in hierarchy.edges:
            near[a, b] = near[b, a] = 1.0
        scale = near.sum(1).rsqrt()
        self.register_buffer("adjacency", scale.unsqueeze(1) * near * scale, persistent=False)

    def forward(self) -> Tensor:
        states: Tensor = self.own
        for weight, bias in zip(self.convolutions, self.biases, strict=True):
            states = F.dropout(F.relu(self.adjacency @ weight(states) + bias), self.dropout, self.training)
        return self.project(states)
