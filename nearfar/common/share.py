"""What is random in a step, drawn for the global batch, so that any number of processes makes the same run.

Every process of a run draws the numbers of the whole batch from one and the same generator and keeps those of its own
examples. Methods and parts say which of their numbers belong to examples with :func:`for_examples`; what belongs to the
step as a whole (a permutation of the batch, one size for all masks) is drawn as it is. On one process, and outside a
training step, nothing is shared and all of this does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from nearfar.common import distributed


@dataclass(frozen=True)
class Share:
    """Which part of the global batch this process holds: the ``rank``-th of ``ranks`` equal parts of ``examples``."""

    rank: int
    ranks: int
    examples: int

    def rows(self, everything: Tensor, blocks: int = 1, dim: int = 0) -> Tensor:
        """This process's rows of what was made for the global batch, which ``dim`` holds ``blocks`` times."""
        each = everything.shape[dim] // (blocks * self.ranks)
        parts = everything.unflatten(dim, (blocks, self.ranks, each))
        return parts.select(dim + 1, self.rank).flatten(dim, dim + 1)


_now: Share | None = None


def share() -> Share | None:
    """The share of the step being made; ``None`` on one process and outside a step."""
    return _now


@contextmanager
def sharing_draws(given: Share | None) -> Iterator[None]:
    """Within this block numbers for examples are drawn for the global batch."""
    global _now
    before, _now = _now, given
    try:
        yield
    finally:
        _now = before


def for_examples(draw: Callable[[int], Tensor], count: int, dim: int = 0) -> Tensor:
    """``draw(count)``: random numbers for ``count`` examples, the same ones whatever the number of processes.

    Args:
        draw: makes the numbers of so many examples, which dimension ``dim`` of its result counts.
        count: of this process; a multiple of its examples means that many blocks of them, one after another, as where
            views are concatenated.
    """
    if _now is None or count == 0:
        return draw(count)
    blocks = count // _now.examples if count % _now.examples == 0 else 1
    return _now.rows(draw(count * _now.ranks), blocks, dim)


@torch.no_grad()
def whole_batch(x: Tensor) -> Tensor:
    """The rows (N, ...) of the global batch, without gradients, of those (n, ...) of this process."""
    if _now is None:
        return x
    kind = x.dtype
    (found,) = distributed.gather(x.to(torch.uint8) if kind == torch.bool else x)
    return found.to(kind)


def own_rows(everything: Tensor, blocks: int = 1) -> Tensor:
    """This process's rows of what was made of the global batch, which holds it ``blocks`` times; see :class:`Share`."""
    return everything if _now is None else _now.rows(everything, blocks)


def agreed_most(number: int, device: torch.device) -> int:
    """The largest of the processes' numbers, such as how long the longest sentence is."""
    if _now is None:
        return number
    found = torch.tensor(number, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)
