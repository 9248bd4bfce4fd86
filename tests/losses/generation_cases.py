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


def directions(edits: Tensor) -> Tensor:
    """Direction 1 of three on four pictures, pair by pair."""

    def near(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(a @ b / (a.norm() * b.norm()) / 0.5)

    own = edits[1]
    alike = [near(own[i], own[j]) for i in range(4) for j in range(i)]
    apart = [near(own[i], edits[k, i]) for k in (0, 2) for i in range(4)]
    return -torch.log((sum(alike) / len(alike)) / (sum(apart) / len(apart)))


def sphere(x: Tensor, y: Tensor) -> Tensor:
    """From the angle between rows, one by one: half of its square."""
    return torch.stack([torch.acos(a @ b / (a.norm() * b.norm())) ** 2 / 2 for a, b in zip(x, y, strict=True)])


def moved(x: Tensor, y: Tensor, text: Tensor, source: Tensor) -> Tensor:
    way = (text - source)[0]
    rows = [1 - (a - b) @ way / ((a - b).norm() * way.norm()) for a, b in zip(x, y, strict=True)]
    return torch.stack(rows)


def beyond(images: Tensor) -> Tensor:
    """Value by value."""
    return torch.stack([sum(max(abs(v) - 1, 0 * v) ** 2 for v in each.flatten()) / each.numel() for each in images])


CASES = (
    Case("spherical_distance", losses.spherical_distance, sphere, shapes=((4, 6), (4, 6))),
    Case("direction_distance", losses.direction_distance, moved, shapes=((4, 6), (4, 6), (1, 6), (1, 6))),
    Case("range_excess", losses.range_excess, beyond, shapes=((3, 2, 4, 4),)),
    Case(
        "direction_contrast",
        partial(losses.direction_contrast, anchor=1),
        directions,
        shapes=((3, 4, 6),),
    ),
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
