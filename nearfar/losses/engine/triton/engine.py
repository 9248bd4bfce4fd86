"""Launching the kernels, and their place in autograd: the counterpart of :mod:`nearfar.losses.engine.logsumexp`.

Tile sizes come from a table, not from timing at run time: another tile size adds up in another order, and a run
must repeat to the bit. They keep shared memory below 100 KB, which every GPU from compute capability 8.0 on has.
**The kernels are checked in Triton's interpreter and have not been timed on a GPU yet**; the sizes are estimates,
and ``benchmarks/gpu_losses.py --tune`` times the alternatives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from nearfar.losses.engine.once import OnceDifferentiable, first_derivative
from nearfar.losses.engine.sharing import Ranks
from nearfar.losses.engine.tiles import LN2, ExpSums
from nearfar.losses.engine.triton.kernels import row_gradient_kernel, row_sums_kernel

# Rows, columns, warps and pipeline stages of a tile: (kernel, half precision) -> sizes.
TILES: dict[tuple[str, bool], tuple[int, int, int, int]] = {
    ("sums", False): (64, 64, 8, 2),
    ("sums", True): (128, 128, 8, 2),
    ("gradient", False): (64, 32, 8, 2),
    ("gradient", True): (64, 64, 8, 2),
}
# Dimensions multiplied at a time, and dimensions of the gradient that one program holds.
DEPTH = {False: 32, True: 128}
MOST_OUT = 128


# Which entries (i, i + shift) are left out: none, the diagonal, or all multiples of one number.
Shifts = tuple[int, ...]
# A factor and a shift for each row or column.
Side = tuple[Tensor, Tensor]


class Operand(NamedTuple):
    """Embeddings ``rows * scale`` (N, D): float32 without a scale, or half precision with one per row."""

    rows: Tensor
    scale: Tensor | None


def operand(y: Tensor, half: Tensor | None) -> Operand:
    """``y`` itself, or the half-precision rows that it is a multiple of."""
    if half is None:
        return Operand(y.detach().contiguous(), None)
    half = half.detach().contiguous()
    wide = half.to(y.dtype)
    squares = wide.square().sum(1).clamp_min_(torch.finfo(y.dtype).tiny)
    return Operand(half, (y.detach() * wide).sum(1) / squares)


class _Launch:
    """What both kernels are given alike."""

    def __init__(self, kernel: str, left: Operand, right: Operand, part: slice, shifts: Shifts) -> None:
        self.half = left.scale is not None
        height, columns, warps, stages = TILES[kernel, self.half]
        n, self.width = left.rows.shape
        self.programs = triton.cdiv(part.stop - part.start, height)
        self.sides = (left.rows, right.rows, left.scale, right.scale)
        # Rows and columns that are left out agree modulo this; one diagonal is all that agrees modulo n + m.
        period = shifts[1] - shifts[0] if len(shifts) > 1 else n + len(right.rows)
        self.sizes = (part.start, part.stop, len(right.rows), self.width, period)
        depth = max(16, min(triton.next_power_of_2(self.width), DEPTH[self.half]))
        self.options: dict[str, Any] = {
            "HALF": self.half, "SKIP": bool(shifts), "BLOCK_M": height, "BLOCK_N": columns, "BLOCK_K": depth,
            "num_warps": warps, "num_stages": stages,
        }  # fmt: skip


def row_sums(left: Operand, right: Operand, part: slice, shifts: Shifts) -> ExpSums:
    """Sums of ``2^logit`` over the columns, for the rows in ``part``; the other rows hold the sum of nothing."""
    sums = ExpSums(len(left.rows), left.rows.new_empty(0, dtype=torch.float32), bounded=False)
    launch = _Launch("sums", left, right, part, shifts)
    if launch.programs:
        with torch.cuda.device_of(left.rows):
            row_sums_kernel[(launch.programs,)](*launch.sides, sums.total, sums.shift, *launch.sizes, **launch.options)
    return sums


def row_gradient(
    left: Operand, right: Operand, part: slice, shifts: Shifts, by_row: Side | None, by_col: Side | None
) -> Tensor:
    """The gradient of the rows in ``part``, zeros elsewhere; weighted by row, by column or by both."""
    gradient = left.rows.new_zeros(left.rows.shape, dtype=torch.float32)
    launch = _Launch("gradient", left, right, part, shifts)
    out = max(16, min(triton.next_power_of_2(launch.width), MOST_OUT))
    if launch.programs:
        with torch.cuda.device_of(left.rows):
            row_gradient_kernel[(launch.programs, triton.cdiv(launch.width, out))](
                *launch.sides, *(by_row or (None, None)), *(by_col or (None, None)), gradient, *launch.sizes,
                BY_ROW=by_row is not None, BY_COL=by_col is not None, BLOCK_D=out, **launch.options,
            )  # fmt: skip
    return gradient


def _part(rows: int, ranks: Ranks | None) -> slice:
    return ranks.span(rows) if ranks else slice(0, rows)


class CrossLogSumExp(OnceDifferentiable):
    """Row, and if asked column, log-sum-exp of ``left @ right.T`` in base two, in natural logarithms."""

    @staticmethod
    def forward(
        ctx: Any,
        left: Tensor,
        right: Tensor,
        halves: tuple[Tensor | None, Tensor | None],
        shifts: Shifts,
        columns: bool,
        ranks: Ranks | None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        a, b = operand(left, halves[0]), operand(right, halves[1])
        rows = row_sums(a, b, _part(len(left), ranks), shifts)
        cols = row_sums(b, a, _part(len(right), ranks), shifts) if columns else None
        if ranks is not None:
            rows.merge_ranks(ranks, *([cols] if cols is not None else []))
        ctx.shifts, ctx.ranks = shifts, ranks
        row_lse = rows.log()
        if cols is None:
            ctx.save_for_backward(*a, *b, *rows.saved(), None, None, left, right)
            return row_lse
        col_lse = cols.log()
        ctx.save_for_backward(*a, *b, *rows.saved(), *cols.saved(), left, right)
        return row_lse, col_lse

    @staticmethod
    @first_derivative
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a_rows, a_scale, b_rows, b_scale, row_total, row_shift, col_total, col_shift, *_ = ctx.saved_tensors
        a, b = Operand(a_rows, a_scale), Operand(b_rows, b_scale)
        if ctx.ranks is not None:
            grads = tuple(ctx.ranks.sum(*grads))
        by_row = grads[0] / row_total * LN2, row_shift
        by_col = None if col_total is None else (grads[1] / col_total * LN2, col_shift)
        left = right = None
        if ctx.needs_input_grad[0]:
            left = row_gradient(a, b, _part(len(a_rows), ctx.ranks), ctx.shifts, by_row, by_col)
        if ctx.needs_input_grad[1]:
            right = row_gradient(b, a, _part(len(b_rows), ctx.ranks), ctx.shifts, by_col, by_row)
        return left, right, None, None, None, None


class SelfLogSumExp(OnceDifferentiable):
    """Row log-sum-exp of ``y @ y.T`` without the diagonals that are left out, in natural logarithms."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, half: Tensor | None, shifts: Shifts, ranks: Ranks | None) -> Tensor:
        a = operand(y, half)
        ctx.shifts, ctx.ranks = shifts, ranks
        sums = row_sums(a, a, _part(len(y), ranks), ctx.shifts)
        if ranks is not None:
            sums.merge_ranks(ranks)
        lse = sums.log()
        ctx.save_for_backward(*a, *sums.saved(), y)
        return lse

    @staticmethod
    @first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, scale, total, shift, _ = ctx.saved_tensors
        if ctx.ranks is not None:
            (grad,) = ctx.ranks.sum(grad)
        a, side = Operand(rows, scale), (grad / total * LN2, shift)
        return row_gradient(a, a, _part(len(rows), ctx.ranks), ctx.shifts, side, side), None, None, None
