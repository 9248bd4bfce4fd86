"""The work on one global batch shared out among the ranks of a training step, unseen by the formulas.

After :func:`nearfar.training.gather` every rank holds the same embeddings and would compute the same matrix.
Inside ``sharing`` each rank makes only its strips of it. Sums over rows and columns are added up over the ranks
in the forward pass, so every rank has the whole result; in the backward pass each rank returns what *its* strips
contribute to the gradient of the inputs, for the gradients that arrived on all ranks together:

    sum over ranks r of J^T g_r  =  sum over ranks r of J_r^T (sum over ranks s of g_s),  J = sum over r of J_r .

Both sides are what the gradient is summed to afterwards anyway, by ``gather``'s backward pass or by the
averaging of parameter gradients, so no gradient of the size of the embeddings is sent here. One consequence:
between the loss and ``gather`` the gradient that one rank sees is its part, not the whole.

Three conditions, checked at every call; otherwise the rank computes everything itself, as outside of ``sharing``:

- the rows are whole global batches (a multiple of what was gathered in this step), so a loss of local rows
  never communicates;
- the matrix has at least ``LEAST_ENTRIES``: below, sending costs more than it saves;
- all ranks hold the same inputs to the bit, compared by a 64-bit fingerprint.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")

# From 2048 x 2048 entries on (NT-Xent, forward and backward: 25 ms on one core) half the work outweighs the
# three to four messages of about 0.2 ms over loopback. For accelerators an estimate, not a measurement.
LEAST_ENTRIES = {"cpu": 1 << 22, "accelerator": 1 << 26}
# Entries that are fingerprinted at a time, and an odd 63-bit constant (near 2^63 divided by the golden ratio).
CHUNK = 1 << 20
MIX = 0x4F1BBCDCBFA53E0B


def deal(items: Sequence[Item], hands: int) -> list[list[Item]]:
    """Items dealt there and back again, so that items that get smaller and smaller are shared out evenly."""
    turn = [*range(hands), *reversed(range(hands))]
    dealt: list[list[Item]] = [[] for _ in range(hands)]
    for number, item in enumerate(items):
        dealt[turn[number % len(turn)]].append(item)
    return dealt


class Ranks:
    """The ranks that share a step: this one's number, how many there are, and how to reduce over them.

    Args:
        rank: this rank, from 0.
        world: number of ranks.
        reduce: replaces a tensor by its sum or its maximum over all ranks, in place.
    """

    def __init__(self, rank: int, world: int, reduce: Callable[[Tensor, Literal["sum", "max"]], object]) -> None:
        self.rank, self.world = rank, world
        self.batches: set[int] = set()
        self._reduce = reduce

    def strips(self, rows: int, height: int) -> list[slice]:
        """This rank's strips of at most ``height`` rows: equally many for every rank, dealt there and back."""
        turns = -(-rows // (2 * self.world * height))
        height = -(-rows // (2 * self.world * turns))
        every = [slice(start, min(start + height, rows)) for start in range(0, rows, height)]
        return deal(every, self.world)[self.rank]

    def span(self, rows: int) -> slice:
        """This rank's rows where one contiguous part for each rank will do."""
        return slice(self.rank * rows // self.world, (self.rank + 1) * rows // self.world)

    def sum(self, *parts: Tensor) -> list[Tensor]:
        """Every tensor summed over the ranks, by one message for all of them."""
        return self._combine(parts, "sum")

    def max(self, *parts: Tensor) -> list[Tensor]:
        """The largest of all ranks, entry by entry, by one message for all tensors."""
        return self._combine(parts, "max")

    def _combine(self, parts: Sequence[Tensor], how: Literal["sum", "max"]) -> list[Tensor]:
        packed = torch.cat([part.reshape(-1) for part in parts])
        self._reduce(packed, how)
        pieces = packed.split([part.numel() for part in parts])
        return [piece.view(part.shape) for piece, part in zip(pieces, parts, strict=True)]

    def agree(self, what: object, inputs: Sequence[Tensor]) -> bool:
        """Whether all ranks ask for the same with the same inputs; the same answer on every rank."""
        code = fingerprint(inputs) ^ zlib.crc32(repr(what).encode())
        # The largest complement is the complement of the smallest: equal only if all are.
        extremes = torch.stack((code, ~code))
        self._reduce(extremes, "max")
        return bool(extremes[0] == ~extremes[1])


_ambient: ContextVar[Ranks | None] = ContextVar("nearfar_ranks", default=None)


@contextmanager
def sharing(ranks: Ranks) -> Iterator[None]:
    """Let the losses that are computed inside share their work among ``ranks``."""
    token = _ambient.set(ranks)
    try:
        yield
    finally:
        _ambient.reset(token)


def note_gathered(rows: int) -> None:
    """Tell the losses of this step how many rows a global batch has."""
    ranks = _ambient.get()
    if ranks is not None:
        ranks.batches.add(rows)


def shared(what: object, left: Tensor, right: Tensor, *others: Tensor, entries: int | None = None) -> Ranks | None:
    """The ranks to share the matrix of ``left`` (N, D) and ``right`` (M, D) with, or None.

    Args:
        what: the engine and its settings; ranks that ask for different things share nothing.
        left: one row for each row of the matrix.
        right: one row for each of its columns.
        others: further inputs of the engine.
        entries: of the matrix where it is another one than (N, M).
    """
    ranks = _ambient.get()
    if ranks is None or not any(len(left) % batch == 0 for batch in ranks.batches):
        return None
    kind = "cpu" if left.device.type == "cpu" else "accelerator"
    if (len(left) * len(right) if entries is None else entries) < LEAST_ENTRIES[kind]:
        return None
    inputs = (left, right, *others)
    wanted = torch.is_grad_enabled(), *(x.requires_grad for x in inputs)
    shapes = [(tuple(x.shape), str(x.dtype)) for x in inputs]
    return ranks if ranks.agree((what, wanted, shapes), inputs) else None


def sum_over_ranks(part: Tensor, ranks: Ranks) -> Tensor:
    """The sum of all ranks' parts; back through it go the gradients of all ranks together."""
    return _SumOverRanks.apply(part, ranks)


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum(part)[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return sum_over_ranks(grad, ctx.ranks), None  # a sum again, so that second derivatives are right


@torch.no_grad()
def fingerprint(inputs: Sequence[Tensor]) -> Tensor:
    """A 0-d int64 tensor that depends on every bit of float32 or float64 inputs, and on its place.

    Integer arithmetic modulo 2^64 on 32-bit pieces, so neither the number of threads nor the kind of machine
    changes it. Any difference in a single number changes it; others do with near certainty.
    """
    code = torch.zeros((), dtype=torch.int64, device=inputs[0].device)
    for x in inputs:
        rows = x.reshape(len(x) if x.ndim else 1, -1).contiguous()
        bits = rows.view(torch.int32)
        by_column = torch.zeros(bits.shape[1], dtype=torch.int64, device=x.device)
        height = max(1, CHUNK // max(bits.shape[1], 1))
        for start in range(0, len(bits), height):
            chunk = bits[start : start + height].long()
            by_column += chunk.sum(0)
            code += (chunk.sum(1) * (_even(start, len(chunk), x) + 1)).sum()
        # Odd times odd for the row plus even for the column: no single difference is multiplied by zero.
        code = code * MIX + (by_column * _even(0, len(by_column), x)).sum()
    return code


def _even(start: int, count: int, like: Tensor) -> Tensor:
    """Another even factor for each place, modulo 2^64."""
    return torch.arange(start, start + count, device=like.device) * MIX * 2
