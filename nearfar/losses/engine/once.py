"""First derivatives only, and a sentence for whoever asks for more, in whatever way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

REFUSAL = (
    "the tiled losses have first derivatives only, by backward() or torch.autograd.grad(): for second derivatives, and "
    "for torch.func, write the formula with plain tensor operations on a batch that is small enough"
)


def refuse_transforms() -> None:
    """Raise where ``torch.func`` is at work, whose transformations cannot look into an engine."""
    if torch._C._are_functorch_transforms_active():
        raise NotImplementedError(REFUSAL)


class OnceDifferentiable(torch.autograd.Function):
    """A function whose ``backward`` is wrapped in :func:`first_derivative`."""

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        """Run it, outside of ``torch.func`` only."""
        refuse_transforms()
        return super().apply(*inputs)


def first_derivative(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A ``backward`` whose results refuse to be differentiated once more.

    torch's ``once_differentiable`` ties its error to nothing, so ``torch.autograd.grad(..., inputs)`` and
    ``hessian``, which walk only the ways that lead to the inputs, pass it by and leave the engine's part out. Here
    the results depend on everything they were made from; all differentiable inputs must have been saved for that.
    """

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Tensor) -> Any:
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled():
            return found
        made_from = [x for x in (*grads, *ctx.saved_tensors) if x is not None and x.requires_grad]
        single = isinstance(found, Tensor)
        results: Sequence[Tensor | None] = (found,) if single else found
        tied = tuple(None if x is None else _Refuse.apply(x, *made_from) for x in results)
        return tied[0] if single else tied

    return wrapped


class _Refuse(torch.autograd.Function):
    """The first input; it cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, result: Tensor, *made_from: Tensor) -> Tensor:
        return result.view_as(result)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise NotImplementedError(REFUSAL)
