"""Losses of generating models."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.registry import Case


def mmd(x: Tensor, y: Tensor, *, h: float | None = None) -> Tensor:
    """Pair by pair; ``h`` of None is the median over pairs of different rows."""
    rows = [*x, *y]
    if h is None:
        far = [(a - b).square().sum() for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        h = float(torch.stack(far).detach().median())

    def mean(a: Tensor, b: Tensor) -> Tensor:
        return sum(torch.exp(-(u - v).square().sum() / h) for u in a for v in b) / (len(a) * len(b))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


CASES = (
    Case(
        "maximum_mean_discrepancy official",
        partial(losses.maximum_mean_discrepancy, bandwidth="official"),
        partial(mmd, h=16.0),
        shapes=((5, 4), (7, 4)),
    ),
    Case(
        "maximum_mean_discrepancy median",
        partial(losses.maximum_mean_discrepancy, bandwidth="median"),
        mmd,
        shapes=((5, 4), (5, 4)),
    ),
)
