"""Batch norm with the statistics of the global batch, on processors as on accelerators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

_apart = False


@contextmanager
def apart() -> Iterator[None]:
    """Within this block batch norm takes the statistics of what this process gives it, as shuffled groups want."""
    global _apart
    before, _apart = _apart, True
    try:
        yield
    finally:
        _apart = before


def joint(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A batch norm's ``forward`` with the statistics of all processes in training mode.

    Exact in values and gradients up to rounding: means and squared deviations of the processes are merged, and the
    backward pass sums what the normalised rows say of both.
    """

    @wraps(function)
    def forward(module: _BatchNorm, x: Tensor) -> Tensor:
        if not module.training or _apart or dist.get_world_size() == 1:
            return function(module, x)
        module._check_input_dim(x)
        momentum = _count(module)
        y, mean, variance, rows = _JointNorm.apply(x, module.weight, module.bias, module.eps)
        if module.running_mean is not None and module.running_var is not None:
            with torch.no_grad():
                module.running_mean.lerp_(mean.to(module.running_mean), momentum)
                unbiased = variance * (rows / (rows - 1).clamp_min(1))
                module.running_var.lerp_(unbiased.to(module.running_var), momentum)
        return y

    return forward


def _count(module: _BatchNorm) -> float:
    """Note that a batch was seen; how much of the running statistics it replaces."""
    if module.num_batches_tracked is None or not module.track_running_stats:
        return module.momentum or 0.0
    module.num_batches_tracked.add_(1)
    return 1.0 / float(module.num_batches_tracked) if module.momentum is None else module.momentum


class _JointNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # Half precision is widened, as torch's own kernels do inside.
        wide = x if x.dtype == torch.float64 else x.float()
        over = [d for d in range(x.ndim) if d != 1]
        mine = x.numel() // x.shape[1]
        mean = wide.mean(over)
        squares = wide.var(over, unbiased=False) * mine
        told = torch.cat([mean, squares, mean.new_full((1,), mine)])
        every = [torch.empty_like(told) for _ in range(dist.get_world_size())]
        dist.all_gather(every, told)
        means, squared, counts = torch.stack(every).split([len(mean), len(mean), 1], dim=1)
        rows = counts.sum()
        if rows <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        mean = (counts * means).sum(0) / rows
        variance = (squared + counts * (means - mean).square()).sum(0) / rows
        y = F.batch_norm(wide, mean, variance, weight, bias, training=False, eps=eps).to(x.dtype)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), rows)
        ctx.mark_non_differentiable(mean, variance, rows)
        return y, mean, variance, rows

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        x, weight, mean, scale, rows = ctx.saved_tensors
        shape = [1, -1, *[1] * (x.ndim - 2)]
        over = [d for d in range(x.ndim) if d != 1]
        wide = grad.to(mean.dtype)
        normal = (x.to(mean.dtype) - mean.view(shape)) * scale.view(shape)
        grad_bias, grad_weight = wide.sum(over), (wide * normal).sum(over)
        sums = torch.cat([grad_bias, grad_weight])
        dist.all_reduce(sums)
        about, along = (sums / rows).chunk(2)
        factor = scale if weight is None else scale * weight
        found = (wide - about.view(shape) - normal * along.view(shape)) * factor.view(shape)
        if weight is None:
            return found.to(x.dtype), None, None, None
        return found.to(x.dtype), grad_weight.to(weight.dtype), grad_bias.to(weight.dtype), None
