"""Losses of whole tuples of modalities, and of memories."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.reference import cross_entropy, unit
from tests.losses.registry import ROWS, Case

GENERATOR = torch.Generator().manual_seed(11)
TUPLES = 5
ORDERS = torch.stack([torch.stack([torch.randperm(TUPLES, generator=GENERATOR) for _ in range(2)]) for _ in range(3)])
SAMPLE = torch.randint(0, 17, (ROWS, 5), generator=GENERATOR)


def product(rows: list[Tensor]) -> Tensor:
    return torch.stack([math.prod(column) for column in zip(*rows, strict=True)])  # type: ignore[arg-type]


def slow_symile(*given: Tensor, temperature: float, orders: Tensor | None = None) -> Tensor:
    x = [unit(rows) for rows in given]
    found = []
    for a in range(len(x)):
        others = [m for m in range(len(x)) if m != a]
        for i in range(len(x[a])):
            logits = [sum(x[a][i] * product([x[m][i] for m in others])) / temperature]
            if orders is None:
                places = itertools.product(range(len(x[a])), repeat=len(others))
                negatives = [place for place in places if set(place) != {i}]
            else:
                columns = (orders[a, :, j].tolist() for j in range(len(x[a])) if j != i)
                negatives = [tuple(place) for place in columns]
            for place in negatives:
                parts = [x[m][j] for m, j in zip(others, place, strict=True)]
                logits.append(sum(x[a][i] * product(parts)) / temperature)
            found.append(cross_entropy(logits, 0))
    return torch.stack(found).mean()


def slow_memory(queries: Tensor, bank: Tensor, *, temperature: float, form: str, z: float = 40.0) -> Tensor:
    q, found = unit(queries), []
    share = (SAMPLE.shape[1] - 1) / len(bank)
    for i, drawn in enumerate(SAMPLE.tolist()):
        logits = [q[i] @ bank[k].detach() / temperature for k in drawn]
        if form == "softmax":
            found.append(cross_entropy(logits, 0))
            continue
        p = [logit.exp() / z for logit in logits]
        right = -torch.log(p[0] / (p[0] + share + 1e-7))
        found.append(right - sum(torch.log(share / (each + share + 1e-7)) for each in p[1:]))
    return torch.stack(found).mean()


VALID = torch.tensor([True, True, False, True, True])


def slow_mil(a: Tensor, b: Tensor, *, temperature: float, masked: bool = False) -> Tensor:
    """Every pair of candidates by itself; a masked row is left out of all sums."""
    x, y = (torch.stack([unit(rows) for rows in each]) for each in (a, b))
    rows = [i for i in range(len(a)) if not masked or bool(VALID[i])]
    found = []
    for i in rows:
        pairs = {(j, k): [x[i][m] @ y[j][k] / temperature for m in range(x.shape[1])]
                 for j in range(len(b)) for k in range(y.shape[1])}  # fmt: skip
        forth = torch.stack([logit for logits in pairs.values() for logit in logits]).exp().sum().log()
        positive = torch.stack([logit for (j, _), logits in pairs.items() if j == i for logit in logits])
        back = torch.stack(
            [x[j][m] @ y[i][k] / temperature for j in rows for m in range(x.shape[1]) for k in range(y.shape[1])]
        )
        found.append(forth + back.exp().sum().log() - 2 * positive.exp().sum().log())
    return torch.stack(found).mean()


def many(loss: Callable, **options: object) -> Callable:
    return lambda *rows, **more: loss(rows, **options, **more)


def memory(form: str) -> Callable:
    return lambda q, bank, **more: losses.memory_contrast(
        q, bank, SAMPLE, form=form, normalizer=torch.tensor(40.0), **more
    )


SMALL: dict[str, Any] = {"shapes": ((TUPLES, 4),) * 3, "tempered": True}
CASES = (
    Case("symile", many(losses.symile, orders=ORDERS), partial(slow_symile, orders=ORDERS), **SMALL),
    Case("symile all", many(losses.symile), slow_symile, **SMALL),
    Case("mil_nce", losses.mil_nce, slow_mil, shapes=((5, 2, 4), (5, 3, 4)), tempered=True),
    Case(
        "mil_nce masked",
        partial(losses.mil_nce, valid_a=VALID),
        partial(slow_mil, masked=True),
        shapes=((5, 2, 4), (5, 3, 4)),
        tempered=True,
    ),
    Case("memory_contrast softmax", memory("softmax"), partial(slow_memory, form="softmax"), 1, 1, tempered=True),
    Case("memory_contrast nce", memory("nce"), partial(slow_memory, form="nce"), 1, 1, tempered=True),
    Case(
        "memory_normalizer",
        lambda q, bank: losses.memory_normalizer(q, bank, SAMPLE, temperature=0.5),
        lambda q, bank: (
            torch.stack(
                [(unit(q)[i] @ bank[k] / 0.5).exp() for i, drawn in enumerate(SAMPLE.tolist()) for k in drawn]
            ).mean()
            * len(bank)
        ),
        1,
        1,
    ),
)
