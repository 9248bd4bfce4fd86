"""Two Triton kernels: sums of exponentials over the rows of a matrix of logits, and what they send back.

``logit_ij = left_i . right_j``, in base two, times ``left_scale_i * right_scale_j`` where the embeddings come in
half precision as they were given. A program owns ``BLOCK_M`` rows and walks over all columns, so nothing of the
size of the matrix reaches memory, no two programs write to the same place and there are no atomic additions: equal
inputs give equal bits. Column sums and the gradient of the right side are the same kernels with the sides
exchanged; making each tile once more costs less than sharing partial sums of columns among programs would.

Products of half-precision embeddings are exact in their float32 accumulators. Float32 embeddings are multiplied as
float32 (``input_precision="ieee"``), never as TF32. Offsets are 64 bits wide.
"""

# Triton reads these functions' source; types of their arguments would say nothing to it.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

FLOOR = tl.constexpr(-1e30)


@triton.jit
def _logits(
    left, right, left_scale, right_scale, rows, cols, row_limit, col_limit, width, period,
    HALF: tl.constexpr, SKIP: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A (BLOCK_M, BLOCK_N) tile; minus infinity beyond the matrix and where a loss leaves an entry out."""
    tile = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for start in range(0, width, BLOCK_K):
        depth = start + tl.arange(0, BLOCK_K)
        a_mask = (rows < row_limit)[:, None] & (depth < width)[None, :]
        b_mask = (cols < col_limit)[None, :] & (depth < width)[:, None]
        a = tl.load(left + rows[:, None] * width + depth[None, :], mask=a_mask, other=0.0)
        b = tl.load(right + cols[None, :] * width + depth[:, None], mask=b_mask, other=0.0)
        tile = tl.dot(a, b, tile, input_precision="ieee")
    if HALF:
        row_scale = tl.load(left_scale + rows, mask=rows < row_limit, other=0.0)
        col_scale = tl.load(right_scale + cols, mask=cols < col_limit, other=0.0)
        tile = tile * row_scale[:, None] * col_scale[None, :]
    keep = (rows < row_limit)[:, None] & (cols < col_limit)[None, :]
    if SKIP:
        keep = keep & ((rows % period)[:, None] != (cols % period)[None, :])
    return tl.where(keep, tile, float("-inf"))


@triton.jit
def row_sums_kernel(
    left, right, left_scale, right_scale, totals, shifts, first, row_limit, col_limit, width, period,
    HALF: tl.constexpr, SKIP: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """``totals_i * 2^shifts_i = sum_j 2^logit_ij`` for rows ``first ... row_limit - 1``."""
    rows = first + tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    peak = tl.full((BLOCK_M,), FLOOR, dtype=tl.float32)
    total = tl.zeros((BLOCK_M,), dtype=tl.float32)
    for start in range(0, col_limit, BLOCK_N):
        cols = start + tl.arange(0, BLOCK_N).to(tl.int64)
        tile = _logits(
            left, right, left_scale, right_scale, rows, cols, row_limit, col_limit, width, period,
            HALF, SKIP, BLOCK_M, BLOCK_N, BLOCK_K,
        )  # fmt: skip
        higher = tl.maximum(peak, tl.max(tile, 1))
        total = total * tl.exp2(peak - higher) + tl.sum(tl.exp2(tile - higher[:, None]), 1)
        peak = higher
    tl.store(totals + rows, total, mask=rows < row_limit)
    tl.store(shifts + rows, peak, mask=rows < row_limit)


@triton.jit
def row_gradient_kernel(
    left, right, left_scale, right_scale, row_factor, row_shift, col_factor, col_shift, gradient,
    first, row_limit, col_limit, width, period,
    HALF: tl.constexpr, SKIP: tl.constexpr, BY_ROW: tl.constexpr, BY_COL: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """``gradient_i = sum_j w_ij right_j`` for rows ``first ... row_limit - 1`` and ``BLOCK_D`` of the dimensions.

    ``w_ij = row_factor_i 2^(logit_ij - row_shift_i) + col_factor_j 2^(logit_ij - col_shift_j)``, either term only
    if asked for.
    """
    rows = first + tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    out = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    gathered = tl.zeros((BLOCK_M, BLOCK_D), dtype=tl.float32)
    for start in range(0, col_limit, BLOCK_N):
        cols = start + tl.arange(0, BLOCK_N).to(tl.int64)
        tile = _logits(
            left, right, left_scale, right_scale, rows, cols, row_limit, col_limit, width, period,
            HALF, SKIP, BLOCK_M, BLOCK_N, BLOCK_K,
        )  # fmt: skip
        weights = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        if BY_ROW:
            shift = tl.load(row_shift + rows, mask=rows < row_limit, other=0.0)
            factor = tl.load(row_factor + rows, mask=rows < row_limit, other=0.0)
            weights += tl.exp2(tile - shift[:, None]) * factor[:, None]
        if BY_COL:
            shift = tl.load(col_shift + cols, mask=cols < col_limit, other=0.0)
            factor = tl.load(col_factor + cols, mask=cols < col_limit, other=0.0)
            weights += tl.exp2(tile - shift[None, :]) * factor[None, :]
        mask = (cols < col_limit)[:, None] & (out < width)[None, :]
        b = tl.load(right + cols[:, None] * width + out[None, :], mask=mask, other=0.0)
        if HALF:
            col_scale = tl.load(right_scale + cols, mask=cols < col_limit, other=0.0)
            # Half-precision numbers fit TF32, so only the weights are rounded: 2^-11, as finely as a half itself.
            weights = weights * col_scale[None, :]
            gathered = tl.dot(weights, b.to(tl.float32), gathered, input_precision="tf32")
        else:
            gathered = tl.dot(weights, b, gathered, input_precision="ieee")
    mask = (rows < row_limit)[:, None] & (out < width)[None, :]
    tl.store(gradient + rows[:, None] * width + out[None, :], gathered, mask=mask)
