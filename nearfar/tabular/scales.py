"""SLAD's parts of rows: random subsets of features, mapped to one width by fixed maps, and their sizes."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ScaleNetwork", "feature_weights"]


def feature_weights(x: Tensor) -> Tensor:
    r"""How much each feature counts towards the size of a part: its mean absolute correlation with all features.

    Scaled to [0, 1] over the features; ones for 50 features and more (``algorithms/slad.py``). A constant feature has
    correlation 0, and where all means are equal, on which the release divides by zero, all weights are 1.

    Args:
        x: (N, F).

    Returns:
        (F,) in [0, 1].
    """
    count = x.shape[1]
    if count >= 50 or len(x) < 2:
        return x.new_ones(count)
    centred = x.double() - x.double().mean(0)
    norms = centred.norm(dim=0)
    constant = norms <= 1e-12 * x.double().norm(dim=0).clamp_min(1e-300)
    unit = torch.where(constant, 0.0, centred / norms.clamp_min(1e-300))
    mean = (unit.T @ unit).abs().clamp(max=1).mean(1)
    low, high = mean.min(), mean.max()
    return ((mean - low) / (high - low) if high - low > 1e-12 else torch.ones_like(mean)).to(x.dtype)


class ScaleNetwork(nn.Module):
    """Groups of parts of a row, and the network that reads the size of each part off its image.

    A part is a subset of the features; the map of its size takes it to ``width`` numbers. Because the maps are fixed,
    those of a group are one matrix (F, c * width) that the whole row is multiplied with; for scoring it is folded into
    the network's first layer, (F, c * hidden).

    Args:
        features: F.
        groups: number of groups.
        parts: c, parts of a group.
        width: of the image of a part.
        hidden: of the network.
        magnify: multiplies the sizes.
        pool: different sizes that occur, at most F.
    """

    subsets: Tensor
    maps: Tensor
    weights: Tensor

    def __init__(
        self, features: int, *, groups: int, parts: int, width: int, hidden: int, magnify: float, pool: int
    ) -> None:
        super().__init__()
        self.width, self.magnify = width, magnify
        sizes = torch.randperm(features)[: min(pool, features)].sort().values + 1
        subsets = torch.full((groups, parts, features), -1)
        for group in range(groups):
            for part in range(parts):
                size = int(sizes[torch.randint(len(sizes), ())])
                again = torch.randint(features, (size,))  # with repetitions where there are few features
                subsets[group, part, :size] = again if features <= 10 else torch.randperm(features)[:size]
        maps = torch.zeros(features + 1, width, features)
        for size in sizes.tolist():
            maps[size, :, :size] = torch.empty(width, size).uniform_(-1, 1) / math.sqrt(size)
        self.register_buffer("subsets", subsets)
        self.register_buffer("maps", maps[sizes])
        self.register_buffer("sizes", sizes)
        self.register_buffer("weights", torch.ones(features))
        self.first = nn.Linear(width, hidden, bias=False)
        self.last = nn.Linear(hidden, 1, bias=False)
        self._mixing: Tensor | None = None
        self.register_load_state_dict_post_hook(lambda *_: self._forget())

    def _forget(self) -> None:
        self._mixing = None

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._forget()
        return super()._apply(*args, **kwargs)

    def mixing(self) -> Tensor:
        """(G, F, c, width): what a row is multiplied with to give the images of its parts."""
        if self._mixing is None:
            groups, parts, features = self.subsets.shape
            found = self.maps.new_zeros(groups, parts, features, self.width)
            position = {int(size): i for i, size in enumerate(self.sizes.tolist())}  # type: ignore[operator, union-attr]
            for group in range(groups):
                for part in range(parts):
                    chosen = self.subsets[group, part]
                    chosen = chosen[chosen >= 0]
                    maps = self.maps[position[len(chosen)], :, : len(chosen)]
                    found[group, part].index_add_(0, chosen, maps.T)
            self._mixing = found.transpose(1, 2).contiguous()
        return self._mixing

    def targets(self) -> Tensor:
        """(G, c), the sizes of the parts: the weights of their features, magnified, over the width."""
        there = self.subsets >= 0
        weights = torch.where(there, self.weights[self.subsets.clamp_min(0)], 0.0)
        return weights.sum(2) * self.magnify / self.width

    def forward(self, x: Tensor, group: Tensor) -> Tensor:
        """The sizes (B, c) that the network reads off the parts of rows (B, F) in their groups (B,)."""
        mixing = self.mixing()
        images = x.new_empty(len(x), mixing.shape[2], self.width)
        for each in group.unique().tolist():
            rows = (group == each).nonzero()[:, 0]
            images[rows] = (x[rows] @ mixing[each].flatten(1)).view(len(rows), -1, self.width)
        return self.last(F.leaky_relu(self.first(images)))[:, :, 0]

    def folded(self) -> Tensor:
        """(G, F, c * hidden), the fixed maps and the first layer as one."""
        return (self.mixing() @ self.first.weight.T).flatten(2)

    def all_groups(self, x: Tensor, folded: Tensor) -> Tensor:
        """The sizes (G, B, c) read off the parts of every group, with the maps folded."""
        groups, parts = self.subsets.shape[:2]
        read = []
        for group in range(groups):
            hidden = F.leaky_relu(x @ folded[group]).view(len(x), parts, -1)
            read.append(hidden @ self.last.weight[0])
        return torch.stack(read)
