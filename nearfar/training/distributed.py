"""The one place that talks to other ranks during a step."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.rows = x.shape[0]
        out = x.new_empty((x.shape[0] * dist.get_world_size(), *x.shape[1:]))
        dist.all_gather(list(out.chunk(dist.get_world_size())), x.contiguous())
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        # Every rank holds a gradient for every row; a row's owner needs their sum.
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gather(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Embeddings of the global batch: one all-gather for all ``tensors``, through which gradients flow.

    On one process the tensors come back as they are. On R ranks, each holding (B, D_k), the results are
    (R * B, D_k) in rank order, the same on every rank. Backward sums over ranks what each rank's loss says
    about a row. So when every rank computes the *mean* loss of the global batch and the engine averages
    parameter gradients over ranks (DistributedDataParallel does), the result is exactly the gradient of one
    process with the batch R * B.

    Raises:
        ValueError: when the tensors are not two-dimensional with equal numbers of rows.
    """
    if world_size() == 1:
        return tensors
    if any(t.ndim != 2 or len(t) != len(tensors[0]) for t in tensors):
        raise ValueError(f"gather takes matrices with equal numbers of rows, got {[tuple(t.shape) for t in tensors]}")
    widths = [t.shape[1] for t in tensors]
    dtype = torch.result_type(tensors[0], tensors[-1])
    everything = _AllGather.apply(torch.cat([t.to(dtype) for t in tensors], dim=1))
    return everything.split(widths, dim=1)
