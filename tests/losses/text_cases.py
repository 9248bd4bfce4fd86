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
    shares = torch.stack([(row - row.max()).exp() / (row - row.max()).exp().sum() for row in likeness])
    logits = [[x @ y / temperature for y in b] for x in a]
    forth = [cross_entropy(logits[i], int(shares[i].argmax())) for i in range(len(a))]
    back = [cross_entropy([row[j] for row in logits], int(shares[:, j].argmax())) for j in range(len(a))]
    return (torch.stack(forth).mean() + torch.stack(back).mean()) / 2


TURNS = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]).bool()
HYPOTHESES = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]).bool()


def slow_past_future(turns: Tensor) -> Tensor:
    unit = turns / turns.norm(dim=2, keepdim=True)
    pairs = []
    for dialog, count in enumerate(TURNS.sum(1).tolist()):
        for t in range(count - 1):
            sides = unit[dialog, : t + 1].mean(0), unit[dialog, t + 1 : count].mean(0)
            pairs.append((dialog, *(side / side.norm() for side in sides)))
    rows = []
    for i, (dialog, past, future) in enumerate(pairs):
        others = [(past @ f / 0.2).exp() for j, (d, _, f) in enumerate(pairs) if d != dialog or j == i]
        rows.append(sum(others).log() - past @ future / 0.2)
    return torch.stack(rows).mean()


def slow_nbest(scores: Tensor, quality: Tensor) -> Tensor:
    rows = []
    for s, w, kept in zip(scores, quality.detach(), HYPOTHESES, strict=True):
        if kept.sum() > 1:
            wanted = (w[kept] / 0.3).exp() / (w[kept] / 0.3).exp().sum()
            rows.append(-(wanted * (s[kept] - s[kept].exp().sum().log())).sum())
    return torch.stack(rows).mean()


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
        "past_future of dialogs",
        lambda turns: losses.past_future(turns, TURNS, temperature=0.2),
        slow_past_future,
        shapes=((4, 4, 5),),
    ),
    Case(
        "nbest_agreement of some",
        lambda scores, quality: losses.nbest_agreement(scores, quality, HYPOTHESES, temperature=0.3),
        slow_nbest,
        shapes=((3, 3), (3, 3)),
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
