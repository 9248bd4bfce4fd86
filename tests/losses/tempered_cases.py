"""AMCL's losses of temperatures that are given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar import losses
from nearfar.losses.contrast.adaptive import CANDIDATES
from tests.losses.registry import Case

N, M, D = 5, 3, 4


def above_zero(loss: Callable, *places: int) -> Callable:
    """A loss some of whose inputs become temperatures."""

    def of(*inputs: Tensor, **options: object) -> Tensor:
        return loss(*(F.softplus(x) + 0.1 if i in places else x for i, x in enumerate(inputs)), **options)

    return of


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a / a.norm().clamp_min(1e-12)) @ (b / b.norm().clamp_min(1e-12))


def price(tau: Tensor, width: int) -> Tensor:
    return width / 2 * torch.log(tau) + 1 / tau


def contrast(z, positive, negatives, near, far, *, beta, candidates):
    rows = []
    for i in range(len(z)):
        pairs = [(cosine(z[i], negatives[i, j]), far[i, j]) for j in range(negatives.shape[1])]
        own = (cosine(z[i], positive[i]), near[i])
        like, tau = max([own, *pairs] if candidates == "all" else pairs, key=lambda pair: float(pair[0].detach()))
        rows.append(like / tau - own[0] / own[1] + beta * (price(own[1], z.shape[1]) - price(tau, z.shape[1])))
    return sum(rows) / len(rows)


def regression(z1, z2, h1, h2, t1, t2, *, beta):
    rows = []
    for i in range(len(z1)):
        like = cosine(z1[i], h2[i].detach()) / (2 * t1[i]) + cosine(z2[i], h1[i].detach()) / (2 * t2[i])
        rows.append(beta * (price(t1[i], z1.shape[1]) + price(t2[i], z1.shape[1])) - like)
    return sum(rows) / len(rows)


def correlation(c, tau, *, lambd, beta):
    found = 0.0
    for i in range(len(c)):
        for j in range(len(c)):
            if i == j:
                found = found + (1 - c[i, i] / tau[i, i]) ** 2 + beta * price(tau[i, i], len(c))
            else:
                found = found + lambd * c[i, j] ** 2 / tau[i, j] - beta * price(tau[i, j], len(c))
    return found


def case(name: str, loss: Callable, slow: Callable, shapes: tuple[tuple[int, ...], ...], *places: int, **options):
    both = (partial(above_zero(each, *places), **options) for each in (loss, slow))
    return Case(name, *both, shapes=shapes)


ROWS_OF_EACH = ((N, D), (N, D), (N, M, D), (N,), (N, M))

CASES = (
    *(
        case(f"tempered_contrast {c}", losses.tempered_contrast, contrast, ROWS_OF_EACH, 3, 4, beta=0.3, candidates=c)
        for c in CANDIDATES
    ),
    case("tempered_regression", losses.tempered_regression, regression, ((N, D),) * 4 + ((N,),) * 2, 4, 5, beta=0.3),
    case("tempered_correlation", losses.tempered_correlation, correlation, ((D, D), (D, D)), 1, lambd=0.2, beta=0.3),
)
