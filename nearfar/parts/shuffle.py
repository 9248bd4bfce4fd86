"""Shuffled group statistics: keeps batch norm from telling which key belongs to which query."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.common.joint_norm import apart
from nearfar.common.share import own_rows, share, whole_batch


def shuffled_groups(module: nn.Module, x: Tensor, groups: int, generator: torch.Generator | None) -> Tensor:
    """``module(x)`` in ``groups`` random parts, each with its own batch statistics, back in order.

    MoCo's shuffling batch norm on one device: a key's statistics come from a random part of the batch, so they
    carry no trace of the query's. Parts hold at least two examples; one group is a plain pass. On several processes
    the parts are those of the global batch, dealt out among them, as in the released code; running statistics are then
    those of a process's own parts. Gradients do not pass.

    Args:
        module: maps (n, ...) to (n, D).
        x: the batch (N, ...).
        groups: number of parts, at least 1; lowered to N // 2 for small batches.
        generator: draws the permutation; on ``x``'s device.
    """
    everyone = whole_batch(x)
    groups = max(min(groups, len(everyone) // 2), 1)
    if groups == 1:
        return module(x)
    order = torch.randperm(len(everyone), generator=generator, device=x.device)
    parts = order.tensor_split(groups)
    now = share()
    if now is None:
        shuffled = torch.cat([module(x[part]) for part in parts])
        return torch.empty_like(shuffled).index_copy_(0, order, shuffled)
    mine = parts[now.rank :: now.ranks]
    with apart():
        # A process without a group of its own still has to say how wide its rows would be.
        found = torch.cat([module(everyone[part]) for part in mine or parts[:1]])
    found = whole_batch(found if mine else found[:0])
    rows = torch.cat([part for rank in range(now.ranks) for part in parts[rank :: now.ranks]])
    return own_rows(torch.empty_like(found).index_copy_(0, rows, found))
