"""Losses of what moves: views of growing strength, and parts of a memory."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.registry import Case


def growing_consistency(*tensors: Tensor, neighbours: int = 0, weight: float = 0.5, temperature: float = 0.3) -> Tensor:
    """Entry by entry, from the definition of every distribution."""
    *views, key, queue = tensors
    unit = [z / z.norm(dim=1, keepdim=True) for z in views]
    k, q = key.detach() / key.detach().norm(dim=1, keepdim=True), queue.detach() / queue.detach().norm(dim=1)[:, None]
    found = []
    for i in range(len(key)):
        logits = [torch.stack([z[i] @ k[i], *(z[i] @ row for row in q)]) / temperature for z in unit]
        p = [torch.exp(x) / torch.exp(x).sum() for x in logits]
        positives = {0}
        for x in logits:
            positives |= {int(j) + 1 for j in x[1:].argsort(descending=True)[:neighbours]}
        first = -sum(p[0][j].log() for j in positives) / len(positives)
        chain = -sum((a.detach() * b.log()).sum() for a, b in zip(p, p[1:], strict=False))
        found.append(first + weight * chain)
    return torch.stack(found).mean()


def selective_contrast(
    queries: Tensor, keys: Tensor, bank: Tensor, *, drop: float = 0.0, neighbours: int = 0, temperature: float = 0.3
) -> Tensor:
    """Row by row: sort the memory by the key, set the first aside, compare with each positive in turn."""
    found = []
    unit = [x / x.norm(dim=1, keepdim=True) for x in (queries, keys.detach(), bank.detach())]
    for q, k in zip(unit[0], unit[1], strict=True):
        order = (unit[2] @ k).argsort(descending=True)
        negatives = torch.exp(unit[2][order[max(int(drop * len(bank)), neighbours) :]] @ q / temperature).sum()
        positives = [k, *unit[2][order[:neighbours]]]
        chances = [torch.exp(p @ q / temperature) / (torch.exp(p @ q / temperature) + negatives) for p in positives]
        found.append(-torch.stack(chances).log().mean())
    return torch.stack(found).mean()


ROWS = ((4, 5), (4, 5), (4, 5), (4, 5), (9, 5))

CASES = (
    Case(
        "growing_consistency",
        lambda *x: losses.growing_consistency(x[:3], x[3], x[4], temperature=0.3),
        growing_consistency,
        shapes=ROWS,
    ),
    Case(
        "growing_consistency neighbours",
        lambda *x: losses.growing_consistency(x[:3], x[3], x[4], temperature=0.3, neighbours=2, weight=2.0),
        lambda *x: growing_consistency(*x, neighbours=2, weight=2.0),
        shapes=ROWS,
    ),
    Case(
        "selective_contrast",
        lambda *x: losses.selective_contrast(*x, temperature=0.3, drop=0.3),
        lambda *x: selective_contrast(*x, drop=0.3),
        shapes=((4, 5), (4, 5), (9, 5)),
    ),
    Case(
        "selective_contrast neighbours",
        lambda *x: losses.selective_contrast(*x, temperature=0.3, drop=0.3, neighbours=4),
        lambda *x: selective_contrast(*x, drop=0.3, neighbours=4),
        shapes=((4, 5), (4, 5), (9, 5)),
    ),
)
