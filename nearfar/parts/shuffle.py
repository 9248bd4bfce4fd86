"""Shuffled group statistics: keeps batch norm from telling which key belongs to which query."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def shuffled_groups(module: nn.Module, x: Tensor, groups: int, generator: torch.Generator | None) -> Tensor:
    """``module(x)`` in ``groups`` random parts, each with its own batch statistics, back in order.

    MoCo's shuffling batch norm on one device: a key's statistics come from a random part of the batch, so they
    carry no trace of the query's. Parts hold at least two examples; one group is a plain pass.

    Args:
        module: maps (n, ...) to (n, D).
        x: the batch (N, ...).
        groups: number of parts, at least 1; lowered to N // 2 for small batches.
        generator: draws the permutation; on ``x``'s device.
    """
    groups = max(min(groups, len(x) // 2), 1)
    if groups == 1:
        return module(x)
    order = torch.randperm(len(x), generator=generator, device=x.device)
    shuffled = torch.cat([module(part) for part in x[order].tensor_split(groups)])
    return torch.empty_like(shuffled).index_copy_(0, order, shuffled)
