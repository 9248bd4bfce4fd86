"""The momentum encoder (mean teacher, target network) and the schedules of its momentum."""

from __future__ import annotations

import copy
import math
from typing import Literal

import torch
from torch import Tensor, nn

from nearfar.common.distributed import local

Schedule = Literal["constant", "cosine", "warmup"]


def momentum_at(progress: float, base: float, schedule: Schedule = "cosine", updates: int = 1) -> float:
    r"""Momentum at a share of the run.

    ``"cosine"`` rises from ``base`` to 1: :math:`m = 1 - (1 - m_0)(1 + \cos(\pi p)) / 2` (BYOL, appendix J;
    MoCo v3; ReLIC). ``"constant"`` stays at ``base`` (MoCo v1, v2). ``"warmup"`` is the average of all weights so
    far until that forgets more slowly than ``base``: :math:`m = \min(1 - 1 / (t + 1), m_0)` (Mean Teacher; DACS,
    DAFormer).

    Args:
        progress: share of the run that is over, in [0, 1].
        base: momentum at the start (``"warmup"``: the largest), in [0, 1].
        updates: :math:`t`, the number of this update, from 1 (``"warmup"`` only).
    """
    if not 0.0 <= base <= 1.0:
        raise ValueError(f"momentum must be in [0, 1], got {base}")
    if schedule == "constant":
        return base
    if schedule == "cosine":
        return 1.0 - (1.0 - base) * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2.0
    if schedule == "warmup":
        return min(1.0 - 1.0 / (updates + 1), base)
    raise ValueError(f"schedule must be 'constant', 'cosine' or 'warmup', got {schedule!r}")


class MomentumEncoder(nn.Module):
    r"""A copy of a module that follows it slowly: :math:`\xi \leftarrow m \xi + (1 - m) \theta`.

    Parameters never receive gradients and ``forward`` runs without them. Buffers (batch-norm statistics) are
    the copy's own: in train mode it normalises with the statistics of its own batches, as the released BYOL
    and MoCo code do.

    Args:
        module: what to follow; it is deep-copied.
        momentum: :math:`m_0` in [0, 1]; see :func:`momentum_at`.
        schedule: how the momentum moves over the run.
    """

    def __init__(self, module: nn.Module, momentum: float = 0.996, schedule: Schedule = "cosine") -> None:
        super().__init__()
        momentum_at(0.0, momentum, schedule)  # raises early on a bad value
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must be a torch module, got {type(module).__name__}")
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.momentum = momentum
        self.schedule: Schedule = schedule
        if schedule == "warmup":
            self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, *args: Tensor) -> Tensor:
        return self.module(*args)

    @torch.no_grad()
    def update(self, module: nn.Module, progress: float = 0.0) -> float:
        """Move one step towards ``module``; returns the momentum that was used.

        Call it once per optimiser step, after it. ``progress`` is the share of the run that is over.
        """
        updates = 1
        if self.schedule == "warmup":
            assert isinstance(self.updates, Tensor)
            self.updates.add_(1)
            updates = int(self.updates)
        m = momentum_at(progress, self.momentum, self.schedule, updates)
        mine = [local(p) for p in self.module.parameters()]
        theirs = [local(p) for p in module.parameters()]
        if len(mine) != len(theirs):
            raise ValueError(f"the followed module has {len(theirs)} parameters, its copy {len(mine)}")
        if mine:
            torch._foreach_lerp_(mine, theirs, 1.0 - m)
        return m
