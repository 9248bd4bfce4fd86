"""Row sums of ``softplus`` over a logit matrix that is never held whole (SigLIP)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nearfar.losses.engine.once import OnceDifferentiable, first_derivative
from nearfar.losses.engine.sharing import Ranks, shared
from nearfar.losses.engine.threads import share, total, worker_count
from nearfar.losses.engine.tiles import LOG2E, Grid, masked_tile


def softplus_row_sums(left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
    """``sum_{j != i} softplus(left_i . right_j + bias)`` for every row i (N,); ``bias`` is a 0-d tensor."""
    return _SoftplusRowSums.apply(left, right, bias, shared("softplus", left, right, bias))


class _SoftplusRowSums(OnceDifferentiable):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, bias: Tensor, ranks: Ranks | None) -> Tensor:
        grid = Grid(len(left), len(right), left, ranks)
        sums = left.new_zeros(len(left))
        keep = grid.is_single and any(ctx.needs_input_grad)
        kept: list[Tensor] = []

        def work(strips: list[slice]) -> None:
            space = grid.workspace()
            for rows in strips:
                for cols in grid.columns():
                    # softplus(x) = max(x, 0) + log1p(e^-|x|): cheaper than the library's, exact on both tails.
                    tile = masked_tile(space, left, right, rows, cols, (0,), False).add_(bias)
                    if keep:
                        kept.append(tile.clone())
                    tails = torch.abs(tile, out=space.buffer(1, *tile.shape)).mul_(-LOG2E).exp2_().log1p_()
                    sums[rows] += tails.sum(1) + tile.clamp_min_(0).sum(1)

        share(grid.strips, work, worker_count(left, len(grid.strips), 0))
        ctx.ranks = ranks
        ctx.save_for_backward(left, right, bias, *kept)
        return ranks.sum(sums)[0] if ranks else sums

    @staticmethod
    @first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left, right, bias, *kept = ctx.saved_tensors
        want_left, want_right, want_bias = ctx.needs_input_grad[:3]
        grid = Grid(len(left), len(right), left, ctx.ranks)
        if ctx.ranks is not None:
            (grad,) = ctx.ranks.sum(grad)
        grad_left = torch.zeros_like(left) if want_left else None
        weighted_left = left * grad.unsqueeze(1)

        def work(strips: list[slice]) -> tuple[Tensor, Tensor]:
            space = grid.workspace()
            grad_right = torch.zeros_like(right if want_right else bias)
            grad_bias = torch.zeros_like(bias)
            for rows in strips:
                for cols in grid.columns():
                    if kept:
                        tile = torch.sigmoid(kept[0], out=space.buffer(0, *kept[0].shape))
                    else:
                        tile = masked_tile(space, left, right, rows, cols, (0,), False).add_(bias).sigmoid_()
                    if grad_left is not None:
                        grad_left[rows].addmm_(tile, right[cols])
                    if want_right:
                        grad_right[cols].addmm_(tile.t(), weighted_left[rows])
                    if want_bias:
                        grad_bias += torch.dot(tile.sum(1), grad[rows])
            return grad_right, grad_bias

        workers = worker_count(left, len(grid.strips), right.numel() if want_right else 0)
        rights, biases = map(list, zip(*share(grid.strips, work, workers), strict=True))
        if grad_left is not None:
            grad_left *= grad.unsqueeze(1)
        return grad_left, total(rights) if want_right else None, total(biases) if want_bias else None, None
