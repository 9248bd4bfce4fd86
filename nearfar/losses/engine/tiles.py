"""Tiles of a similarity matrix that is never held whole, and the running sums taken over them.

Every softmax-type loss here needs the logarithm of a sum of exponentials over the rows of ``Y Z^T`` (and
sometimes over its columns). The matrix is made in tiles that stay in the processor's cache; each tile is used
up before the next one is made, and is made again for the gradient. Logits are in **base two**: the callers
fold ``scale * log2(e)`` into the embeddings, so the tile needs no scaling pass.

Chosen by measurement (8,192 rows of width 128, float32, one AVX-512 thread, forward and backward; the bare
matrix products alone take 0.34 s):

- ``exp2`` instead of ``exp``: 0.28 ns against 0.83 ns an entry.
- Tiles of 384 x 768: 0.41 s; anything from 300,000 to 800,000 entries is within 5%, smaller ones lose to
  dispatch and larger ones to cache misses.
- For a matrix against itself only the upper triangle is made, in both passes. One product per tile gives the
  row and the column sums; in backward, two products with the same tile give both halves of the gradient.
- No running maximum where the temperature bounds the exponents: 0.41 s against 0.46 s with one.
- Several threads take strips of tiles, not shares of each operation (:mod:`nearfar.losses.engine.threads`).

Measured and rejected: strips of full width instead of tiles (0% to 5% slower, and their buffers grow with the
batch); a transposed accumulator for the column half of the gradient (0% to 8% slower, more memory); the row
half of the gradient accumulated in the forward pass (0.59 s: six products per tile instead of four);
``torch.logsumexp`` on a block (1.0 ns an entry, and a tile cannot serve rows and columns).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.losses.engine.sharing import Ranks

LOG2E = math.log2(math.e)
LN2 = math.log(2.0)

# Rows and columns of a tile, the columns no fewer than the rows; whatever is not a CPU counts as accelerator.
TILE = {"cpu": (384, 768), "accelerator": (4096, 4096)}
# A matrix of at most this many entries is one tile, and is kept for the backward pass instead of made again.
SINGLE_TILE_ENTRIES = 1 << 20
# With |logit| <= 60 in base two, sums lie in [2^-60, 2^77] for up to 2^17 terms: no shift is needed in
# float32, and an upstream gradient divided by such a sum is still far from the subnormal numbers.
EXPONENT_LIMIT = 60.0
# The start of a running maximum. Finite, so that a row with no entry left gives log(0) and not NaN.
FLOOR = -1e30


def exponents_are_bounded(scale: float | Tensor, normalized: bool) -> bool:
    """Whether every base-two logit provably lies within the limit; an accelerator is not asked."""
    if not normalized or (isinstance(scale, Tensor) and scale.device.type != "cpu"):
        return False
    value = scale.detach().item() if isinstance(scale, Tensor) else scale
    return value * LOG2E * 1.001 <= EXPONENT_LIMIT


def spans(first: int, stop: int, step: int) -> list[slice]:
    """``range(first, stop)`` cut into slices of at most ``step``."""
    return [slice(start, min(start + step, stop)) for start in range(first, stop, step)]


class Grid:
    """How a (rows, cols) matrix is cut into tiles; with ``ranks``, only the strips that are this rank's."""

    def __init__(self, rows: int, cols: int, like: Tensor, ranks: Ranks | None = None) -> None:
        self.is_single = rows * cols <= SINGLE_TILE_ENTRIES and ranks is None
        kind = "cpu" if like.device.type == "cpu" else "accelerator"
        self._height, self._width = (rows, cols) if self.is_single else TILE[kind]
        self._cols = cols
        self._like = like
        self._entries = min(rows, self._height) * min(cols, self._width)
        self.strips = ranks.strips(rows, self._height) if ranks else spans(0, rows, self._height)

    def columns(self) -> list[slice]:
        """The column spans of every strip."""
        return spans(0, self._cols, self._width)

    def upper_columns(self, rows: slice) -> list[tuple[slice, slice]]:
        """The column spans of a strip of a symmetric matrix, from its diagonal on, and those to mirror.

        The first tile starts with a square on the diagonal. That holds both halves of its entries, so only
        the columns behind it stand for entries below the diagonal too.
        """
        columns = spans(rows.start, self._cols, self._width)
        return [(c, slice(max(c.start, rows.stop), max(c.stop, rows.stop))) for c in columns]

    def workspace(self) -> Workspace:
        """Buffers for one thread."""
        return Workspace(self._entries, self._like)


class Workspace:
    """The two buffers that every tile is made in."""

    def __init__(self, entries: int, like: Tensor) -> None:
        self._entries = entries
        self._like = like
        self._buffers: list[Tensor | None] = [None, None]

    def buffer(self, which: int, rows: int, cols: int) -> Tensor:
        """Buffer 0 or 1 as a matrix; what it held before is still in it."""
        buffer = self._buffers[which]
        if buffer is None:
            buffer = self._buffers[which] = self._like.new_empty(self._entries)
        return buffer[: rows * cols].view(rows, cols)

    def logits(self, left: Tensor, right: Tensor) -> Tensor:
        """``left @ right.T`` in buffer 0."""
        return torch.mm(left, right.t(), out=self.buffer(0, len(left), len(right)))


def masked_tile(
    work: Workspace,
    left: Tensor,
    right: Tensor,
    rows: slice,
    cols: slice,
    shifts: tuple[int, ...],
    bounded: bool,
) -> Tensor:
    """``2^logit`` of a tile if the exponents are bounded, or else the logits.

    The entries (i, i + shift) are taken out: their logits are minus infinity.
    """
    tile = work.logits(left[rows], right[cols])
    for shift in shifts:
        offset = rows.start + shift - cols.start
        if -tile.shape[0] < offset < tile.shape[1]:
            tile.diagonal(offset).fill_(-math.inf)
    return tile.exp2_() if bounded else tile


class ExpSums:
    """``total * 2^shift`` = the running sum of ``2^logit`` of each row (or column).

    With bounded exponents the shift is zero and the tile arrives exponentiated; otherwise it is the running
    maximum and the tile arrives as logits.
    """

    def __init__(self, length: int, like: Tensor, bounded: bool) -> None:
        self.total = torch.zeros(length, dtype=like.dtype, device=like.device)
        self.shift = None if bounded else torch.full_like(self.total, FLOOR)

    def add(self, tile: Tensor, work: Workspace, span: slice, dim: int) -> None:
        """Sum ``tile`` over ``dim`` into the entries ``span``."""
        if self.shift is None:
            self.total[span] += tile.sum(dim)
            return
        before = self.shift[span]
        peak = torch.maximum(before, tile.amax(dim))
        terms = torch.sub(tile, peak.unsqueeze(dim), out=work.buffer(1, *tile.shape)).exp2_()
        self.total[span] = self.total[span] * torch.exp2(before - peak) + terms.sum(dim)
        self.shift[span] = peak

    def merge(self, others: list[ExpSums]) -> ExpSums:
        """These sums and those of other threads."""
        for other in others:
            if self.shift is None or other.shift is None:
                self.total += other.total
                continue
            peak = torch.maximum(self.shift, other.shift)
            ours, theirs = torch.exp2(self.shift - peak), torch.exp2(other.shift - peak)
            self.total, self.shift = self.total * ours + other.total * theirs, peak
        return self

    def merge_ranks(self, ranks: Ranks, *others: ExpSums) -> None:
        """Add up what the ranks hold, in these sums and in ``others``: one or two messages for all of them."""
        every = (self, *others)
        shifts = [sums.shift for sums in every if sums.shift is not None]
        if shifts:
            for sums, shift, peak in zip(every, shifts, ranks.max(*shifts), strict=True):
                sums.total, sums.shift = sums.total * torch.exp2(shift - peak), peak
        for sums, total in zip(every, ranks.sum(*(sums.total for sums in every)), strict=True):
            sums.total = total

    def log(self) -> Tensor:
        """The natural logarithm of the sums; minus infinity for an empty one."""
        logs = torch.log2(self.total)
        return (logs if self.shift is None else logs + self.shift).mul_(LN2)

    def saved(self) -> tuple[Tensor, Tensor | None]:
        """What the backward pass needs: totals safe to divide by, and shifts."""
        return self.total.clamp_min_(torch.finfo(self.total.dtype).tiny), self.shift


def row_weights(tile: Tensor, work: Workspace, shift: Tensor) -> Tensor:
    """``2^(tile - shift)``, changing buffers only."""
    return torch.sub(tile, shift.unsqueeze(1), out=work.buffer(0, *tile.shape)).exp2_()


def two_sided_weights(
    tile: Tensor,
    work: Workspace,
    row_factor: Tensor,
    col_factor: Tensor,
    row_shift: Tensor | None,
    col_shift: Tensor | None,
) -> Tensor:
    """``2^(tile - row_shift) * row_factor + 2^(tile - col_shift) * col_factor``, changing buffers only.

    Without shifts the tile holds ``2^logit`` already.
    """
    weights = work.buffer(1, *tile.shape)
    if row_shift is None or col_shift is None:
        torch.add(row_factor.unsqueeze(1), col_factor, out=weights)
        return weights.mul_(tile)
    torch.sub(tile, row_shift.unsqueeze(1), out=weights).exp2_().mul_(row_factor.unsqueeze(1))
    by_col = torch.sub(tile, col_shift, out=work.buffer(0, *tile.shape)).exp2_()
    return weights.addcmul_(by_col, col_factor)
