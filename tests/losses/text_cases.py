"""Losses of lists and pairs of sentences."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.reference import cross_entropy, unit
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


RIGHT = draw(5, 7, seed=6) > 0.8
WRONG = (draw(5, 7, seed=7) > -0.3) & ~RIGHT
RIGHT[2], WRONG[3] = False, False
EXPECTED = draw(7, seed=8)


def slow_binary_nce(scores: Tensor) -> Tensor:
    rows = []
    for s, right, wrong in zip(scores, RIGHT, WRONG, strict=True):
        terms = [-torch.sigmoid(x).log() for x in s[right]] + [-(1 - torch.sigmoid(x)).log() for x in s[wrong]]
        rows += [sum(terms) / len(terms)] if terms else []
    return torch.stack(rows).mean()


def slow_ranking_nce(scores: Tensor) -> Tensor:
    rows = []
    for s, right, wrong in zip(scores / 0.5 - EXPECTED, RIGHT, WRONG, strict=True):
        terms = [-(x.exp() / (x.exp() + s[wrong].exp().sum())).log() for x in s[right]]
        rows += [sum(terms) / len(terms)] if terms else []
    return torch.stack(rows).mean()


def slow_likeness_ranking(a: Tensor, b: Tensor, *, normalize: bool, temperature: float) -> Tensor:
    if normalize:
        a, b = unit(a), unit(b)
    likeness = torch.stack(
        [torch.stack([(x @ y + u @ v) / 2 for y, v in zip(a, b, strict=True)]) for x, u in zip(a, b, strict=True)]
    )
    shares = torch.stack([row.exp() / row.exp().sum() for row in likeness])
    logits = [[x @ y / temperature for y in b] for x in a]
    forth = [cross_entropy(logits[i], int(shares[i].argmax())) for i in range(len(a))]
    back = [cross_entropy([row[j] for row in logits], int(shares[:, j].argmax())) for j in range(len(a))]
    return (torch.stack(forth).mean() + torch.stack(back).mean()) / 2


CASES = [
    *(
        Case(
            f"likeness_ranking {name}",
            partial(losses.likeness_ranking, normalize=normalize, temperature=temperature),
            partial(slow_likeness_ranking, normalize=normalize, temperature=temperature),
            inputs=2,
        )
        for name, normalize, temperature in (("of products", False, 1.0), ("of cosines", True, 0.1))
    ),
    Case(
        "binary_nce of several labels",
        lambda scores: losses.binary_nce(scores, RIGHT, WRONG),
        slow_binary_nce,
        shapes=((5, 7),),
    ),
    Case(
        "ranking_nce with a correction",
        lambda scores: losses.ranking_nce(scores, RIGHT, WRONG, temperature=0.5, log_expected=EXPECTED),
        slow_ranking_nce,
        shapes=((5, 7),),
    ),
    Case(
        "list_mle of some, with ties",
        lambda scores: losses.list_mle(scores, TARGETS, VALID, order=ORDER),
        slow_list_mle,
        shapes=((4, 6),),
    ),
]
