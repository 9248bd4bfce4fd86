"""Row (and column) log-sum-exp of a similarity matrix that is never held whole, with gradients.

``cross_logsumexp`` compares two sets of embeddings, ``self_logsumexp`` a set with itself. Both take
embeddings whose inner products are logits in base two (see :mod:`nearfar.losses.engine.tiles`) and return natural
logarithms. Entries that a loss treats apart, the positive and the row itself, are left out of the sum: the
loss is then ``softplus(lse - positive)``, which keeps its relative precision when the positive dominates,
where ``lse_of_everything - positive`` would cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nearfar.losses.engine import triton
from nearfar.losses.engine.once import OnceDifferentiable, first_derivative
from nearfar.losses.engine.sharing import Ranks, shared
from nearfar.losses.engine.threads import share, total, worker_count
from nearfar.losses.engine.tiles import LN2, ExpSums, Grid, masked_tile, row_weights, two_sided_weights


def cross_logsumexp(
    left: Tensor,
    right: Tensor,
    *,
    skip_diagonal: bool,
    columns: bool,
    bounded: bool,
    views: int = 1,
    given: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """``ln sum_j 2^(left_i . right_j)`` for every row i (N,), and over i for every column j (M,) if asked.

    Args:
        left: (N, D).
        right: (M, D).
        skip_diagonal: leave the entries (i, i) out of both sums.
        columns: whether the column sums are wanted.
        bounded: whether every base-two logit lies within ``EXPONENT_LIMIT``.
        views: both sides hold so many views stacked, and what is left out is every pair of views of one thing.
        given: the embeddings whose rows ``left`` and ``right`` are multiples of; half precision is used on GPUs.
    """
    shifts = same_thing(len(left), views) if skip_diagonal else ()
    ranks = shared(("cross", shifts, columns, bounded), left, right)
    if triton.fits(left, right):
        from nearfar.losses.engine.triton.engine import CrossLogSumExp

        halves = triton.halves(*given) if given else (None, None)
        found = CrossLogSumExp.apply(left, right, halves, shifts, columns, ranks)
    else:
        found = _CrossLogSumExp.apply(left, right, shifts, columns, bounded, ranks)
    return found if columns else (found, None)


def self_logsumexp(y: Tensor, *, views: int = 1, bounded: bool, given: Sequence[Tensor] = ()) -> Tensor:
    """``ln sum_{j != i} 2^(y_i . y_j)`` for every row i of ``y`` (N, D).

    With several ``views`` stacked in ``y`` the other views of the row's own thing are left out as well. ``given``
    are the embeddings, in the order they are stacked, whose rows ``y`` is a multiple of; half precision is used
    on GPUs.
    """
    shifts = same_thing(len(y), views)
    ranks = shared(("self", shifts, bounded), y, y)
    if triton.fits(y, y):
        from nearfar.losses.engine.triton.engine import SelfLogSumExp

        return SelfLogSumExp.apply(y, triton.half(*given), shifts, ranks)
    return _SelfLogSumExp.apply(y, shifts, bounded, ranks)


def same_thing(rows: int, views: int) -> tuple[int, ...]:
    """How far apart two rows can lie that are views of one thing, in ``views`` stacked matrices of equal height."""
    return tuple(range(-(rows - rows // views), rows, rows // views))


class _CrossLogSumExp(OnceDifferentiable):
    @staticmethod
    def forward(
        ctx: Any,
        left: Tensor,
        right: Tensor,
        shifts: tuple[int, ...],
        columns: bool,
        bounded: bool,
        ranks: Ranks | None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        grid = Grid(len(left), len(right), left, ranks)
        row_sums = ExpSums(len(left), left, bounded)

        def work(strips: list[slice]) -> tuple[Tensor | None, ExpSums | None]:
            space, tile = grid.workspace(), None
            col_sums = ExpSums(len(right), left, bounded) if columns else None
            for rows in strips:
                for cols in grid.columns():
                    tile = masked_tile(space, left, right, rows, cols, shifts, bounded)
                    row_sums.add(tile, space, rows, 1)
                    if col_sums is not None:
                        col_sums.add(tile, space, cols, 0)
            return tile, col_sums

        workers = worker_count(left, len(grid.strips), len(right) if columns else 0)
        tiles, col_parts = zip(*share(grid.strips, work, workers), strict=True)
        ctx.shifts, ctx.columns, ctx.ranks = shifts, columns, ranks
        kept = tiles[0] if grid.is_single and any(ctx.needs_input_grad) else None
        col_sums = col_parts[0].merge(col_parts[1:]) if columns else None
        if ranks is not None:
            row_sums.merge_ranks(ranks, *([col_sums] if col_sums is not None else []))
        row_lse = row_sums.log()
        if col_sums is None:
            ctx.save_for_backward(left, right, kept, *row_sums.saved(), None, None)
            return row_lse
        col_lse = col_sums.log()
        ctx.save_for_backward(left, right, kept, *row_sums.saved(), *col_sums.saved())
        return row_lse, col_lse

    @staticmethod
    @first_derivative
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        left, right, kept, row_total, row_shift, col_total, col_shift = ctx.saved_tensors
        want_left, want_right = ctx.needs_input_grad[:2]
        grid = Grid(len(left), len(right), left, ctx.ranks)
        if ctx.ranks is not None:
            grads = tuple(ctx.ranks.sum(*grads))
        row_factor = grads[0] / row_total * LN2
        col_factor = grads[1] / col_total * LN2 if ctx.columns else None
        grad_left = torch.zeros_like(left) if want_left else None
        # With row sums alone the factor of a row can wait until the products: no pass over the tile for it.
        weighted_left = left if ctx.columns else left * row_factor.unsqueeze(1)

        def work(strips: list[slice]) -> Tensor | None:
            space = grid.workspace()
            grad_right = torch.zeros_like(right) if want_right else None
            for rows in strips:
                for cols in grid.columns():
                    tile = kept
                    if tile is None:
                        tile = masked_tile(space, left, right, rows, cols, ctx.shifts, row_shift is None)
                    if col_factor is not None:
                        shifts = (None, None) if row_shift is None else (row_shift[rows], col_shift[cols])
                        tile = two_sided_weights(tile, space, row_factor[rows], col_factor[cols], *shifts)
                    elif row_shift is not None:
                        tile = row_weights(tile, space, row_shift[rows])
                    if grad_left is not None:
                        grad_left[rows].addmm_(tile, right[cols])
                    if grad_right is not None:
                        grad_right[cols].addmm_(tile.t(), weighted_left[rows])
            return grad_right

        workers = worker_count(left, len(grid.strips), right.numel() if want_right else 0)
        rights = [part for part in share(grid.strips, work, workers) if part is not None]
        if grad_left is not None and not ctx.columns:
            grad_left *= row_factor.unsqueeze(1)
        return grad_left, total(rights) if want_right else None, None, None, None, None


class _SelfLogSumExp(OnceDifferentiable):
    @staticmethod
    def forward(ctx: Any, y: Tensor, shifts: tuple[int, ...], bounded: bool, ranks: Ranks | None) -> Tensor:
        grid = Grid(len(y), len(y), y, ranks)

        def work(strips: list[slice]) -> tuple[Tensor | None, ExpSums]:
            space, tile = grid.workspace(), None
            sums = ExpSums(len(y), y, bounded)
            for rows in strips:
                for cols, mirrored in grid.upper_columns(rows):
                    tile = masked_tile(space, y, y, rows, cols, shifts, bounded)
                    sums.add(tile, space, rows, 1)
                    if mirrored.stop > mirrored.start:
                        sums.add(tile[:, mirrored.start - cols.start :], space, mirrored, 0)
            return tile, sums

        workers = worker_count(y, len(grid.strips), len(y))
        tiles, parts = zip(*share(grid.strips, work, workers), strict=True)
        ctx.shifts, ctx.ranks = shifts, ranks
        kept = tiles[0] if grid.is_single and ctx.needs_input_grad[0] else None
        sums = parts[0].merge(parts[1:])
        if ranks is not None:
            sums.merge_ranks(ranks)
        lse = sums.log()
        ctx.save_for_backward(y, kept, *sums.saved())
        return lse

    @staticmethod
    @first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, kept, sums, shift = ctx.saved_tensors
        grid = Grid(len(y), len(y), y, ctx.ranks)
        if ctx.ranks is not None:
            (grad,) = ctx.ranks.sum(grad)
        factor = grad / sums * LN2

        def work(strips: list[slice]) -> Tensor:
            space = grid.workspace()
            grad_y = torch.zeros_like(y)
            for rows in strips:
                for cols, mirrored in grid.upper_columns(rows):
                    tile = kept
                    if tile is None:
                        tile = masked_tile(space, y, y, rows, cols, ctx.shifts, shift is None)
                    both = (None, None) if shift is None else (shift[rows], shift[cols])
                    tile = two_sided_weights(tile, space, factor[rows], factor[cols], *both)
                    grad_y[rows].addmm_(tile, y[cols])
                    if mirrored.stop > mirrored.start:
                        grad_y[mirrored].addmm_(tile[:, mirrored.start - cols.start :].t(), y[rows])
            return grad_y

        workers = worker_count(y, len(grid.strips), y.numel())
        return total(share(grid.strips, work, workers)), None, None, None
