"""The one place that talks to other ranks during a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from nearfar.losses.engine import sharing


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        most = max(counts)
        padded = x.contiguous() if len(x) == most else torch.cat((x, x.new_zeros(most - len(x), *x.shape[1:])))
        out = x.new_empty((most * len(counts), *x.shape[1:]))
        parts = out.chunk(len(counts))
        dist.all_gather(list(parts), padded)
        if min(counts) == most:
            return out
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _SumOfOwnRows.apply(grad, ctx.counts), None


class _SumOfOwnRows(torch.autograd.Function):
    """Every rank holds a gradient for every row; a row's owner needs their sum.

    A function of its own, so that second derivatives go through the ranks too: its gradient is a gathering again.
    """

    @staticmethod
    def forward(ctx: Any, grad: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total.split(counts)[dist.get_rank()]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _AllGather.apply(grad, ctx.counts), None


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gather(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Embeddings of the global batch: one all-gather for all ``tensors``, through which gradients flow.

    On one process the tensors come back as they are. On R ranks, each holding (B_r, D_k), the results are
    (B_0 + ... + B_{R-1}, D_k) in rank order, the same on every rank; ranks may hold different numbers of rows.
    Backward sums over ranks what each rank's loss says about a row. So when every rank computes the *mean* loss
    of the global batch and the engine averages parameter gradients over ranks (DistributedDataParallel does),
    the result is exactly the gradient of one process with the whole batch.

    Besides the rows themselves one number per rank is sent, how many rows it has; the accelerator is waited for.

    Tensors may have any further dimensions: (B_r, ...) gives (B_0 + ... + B_{R-1}, ...).

    Raises:
        ValueError: when the tensors have no rows or unequal numbers of them.
    """
    if world_size() == 1:
        return tensors
    if any(t.ndim < 1 or len(t) != len(tensors[0]) for t in tensors):
        raise ValueError(f"gather takes tensors with equal numbers of rows, got {[tuple(t.shape) for t in tensors]}")
    flat = [t.reshape(len(t), math.prod(t.shape[1:])) for t in tensors]
    dtype = torch.result_type(tensors[0], tensors[-1])
    counts = _row_counts(tensors[0])
    everything = _AllGather.apply(torch.cat([t.to(dtype) for t in flat], dim=1), counts)
    sharing.note_gathered(sum(counts))
    found = everything.split([t.shape[1] for t in flat], dim=1)
    return tuple(part.reshape(-1, *t.shape[1:]) for part, t in zip(found, tensors, strict=True))


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace gradients by their mean over the ranks, in one message; a missing one counts as 0."""
    if world_size() == 1:
        return
    found = [p for p in parameters if p.requires_grad]
    if not found:
        return
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in found])
    dist.all_reduce(flat)
    for p, grad in zip(found, (flat / world_size()).split([p.numel() for p in found]), strict=True):
        p.grad = grad.view_as(p).clone()


def divided(tensor: Tensor) -> bool:
    """Whether processes hold a part of a tensor each (``strategy="fsdp2"``)."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor that is divided among processes; any other tensor as it is."""
    held: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return held


def norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The norm of every tensor, of which processes may hold parts; they then have to ask together."""
    found = list(torch._foreach_norm([local(t) for t in tensors]))
    parted = [k for k, t in enumerate(tensors) if divided(t)]
    if parted:
        squares = torch.stack([found[k].float().square() for k in parted])
        dist.all_reduce(squares)
        for k, square in zip(parted, squares.unbind(), strict=True):
            found[k] = square.sqrt().to(found[k].dtype)
    return found


def mean(values: Tensor) -> Tensor:
    """The mean of a tensor over the ranks, without gradients."""
    if world_size() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / world_size()


def _row_counts(x: Tensor) -> list[int]:
    """How many rows every rank has."""
    counts = torch.empty(world_size(), dtype=torch.int64, device=x.device)
    dist.all_gather(list(counts.split(1)), torch.tensor([len(x)], device=x.device))
    return [int(count) for count in counts.tolist()]


def shared_losses() -> AbstractContextManager[None]:
    """A context in which the ranks share the work of losses of gathered embeddings (``nearfar.losses.engine.sharing``).

    Inside it every rank has to compute the same losses in the same order, as every rank has to gather.
    """
    if world_size() == 1:
        return nullcontext()
    return sharing.sharing(sharing.Ranks(rank(), world_size(), _reduce))


def _reduce(tensor: Tensor, how: Literal["sum", "max"]) -> None:
    dist.all_reduce(tensor, op=dist.ReduceOp.SUM if how == "sum" else dist.ReduceOp.MAX)
