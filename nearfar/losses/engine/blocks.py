"""Rows of a pairwise matrix taken in blocks that are made again for the gradient.

For formulas that are no plain log-sum-exp (see :mod:`nearfar.losses.engine.logsumexp` for those): a few whole rows of
the matrix are computed by ordinary differentiable operations, reduced to one number a row and forgotten. Memory is
linear in the number of rows; the price is a second forward pass, about a third more time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nearfar.losses.engine import tiles
from nearfar.losses.engine.once import refuse_transforms
from nearfar.losses.engine.tiles import spans

BLOCK_ENTRIES = {"cpu": 1 << 19, "accelerator": 1 << 24}


def in_row_blocks(
    block: Callable[[Tensor, Tensor, int], Tensor], left: Tensor, right: Tensor, *, entries: int | None = None
) -> Tensor:
    """One number for each row of ``left`` (N, D), which is compared with every row of ``right`` (M, D).

    Args:
        block: from some rows of ``left``, all of ``right`` and the number of the first row to one number a row.
        left, right: what is compared.
        entries: numbers that a row of ``left`` needs at a time; one for each row of ``right`` if not given.
    """
    n, m = len(left), entries or len(right)
    if n * m <= tiles.SINGLE_TILE_ENTRIES:
        return block(left, right, 0)
    refuse_transforms()
    kind = "cpu" if left.device.type == "cpu" else "accelerator"
    rows = spans(0, n, max(1, BLOCK_ENTRIES[kind] // m))
    parts = [
        checkpoint(block, left[part], right, part.start, use_reentrant=False, preserve_rng_state=False) for part in rows
    ]
    return torch.cat(parts)
