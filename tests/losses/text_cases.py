"""Losses of lists and pairs of sentences."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.registry import Case, draw

TARGETS = draw(4, 6, seed=5).round(decimals=0)
VALID = torch.ones(4, 6, dtype=torch.bool)
VALID[1, 2:5] = False
ORDER = torch.tensor([3, 1, 0, 5, 4, 2])


def slow_list_mle(scores: Tensor) -> Tensor:
    total = []
    for s, t, kept in zip(scores, TARGETS, VALID, strict=True):
        columns = [c for c in ORDER.tolist() if kept[c]]
        columns.sort(key=lambda c: -float(t[c]))
        x = s[columns] - s[columns].max()
        total.append(sum(torch.log(x[j:].exp().sum() + 1e-7) - x[j] for j in range(len(x))))
    return torch.stack(total).mean()


CASES = [
    Case(
        "list_mle of some, with ties",
        lambda scores: losses.list_mle(scores, TARGETS, VALID, order=ORDER),
        slow_list_mle,
        shapes=((4, 6),),
    )
]
