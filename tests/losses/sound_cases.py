"""Losses of voices, of sounds with captions, and of layers of speech."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.registry import Case


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return a @ b / (a.norm() * b.norm())


def margin_nt_xent(z1: Tensor, z2: Tensor, temperature: float, margin: float, kind: str, symmetric: bool) -> Tensor:
    """Row by row; the margin of an angle by the arc cosine itself."""
    n, rows = len(z1), [*z1, *z2]
    found = []
    for i in range(2 * n if symmetric else n):
        own = (i + n) % (2 * n)
        c = cosine(rows[i], rows[own])
        if kind == "am":
            c = c - margin
        elif kind == "aam":
            angle = torch.arccos(c)
            c = torch.cos(angle + margin) if angle.item() < math.pi - margin else c - margin * math.sin(margin)
        others = [j for j in range(0 if symmetric else n, 2 * n) if j not in (i, own)]
        logits = torch.stack([c, *(cosine(rows[i], rows[j]) for j in others)]) / temperature
        found.append(-torch.log_softmax(logits, 0)[0])
    return torch.stack(found).mean()


def margin_case(name: str, **options: object) -> Case:
    wanted = {"temperature": 0.3, "margin": 0.2, "kind": "am", "symmetric": True, **options}
    loss = partial(losses.margin_nt_xent, **wanted)  # type: ignore[arg-type]
    return Case(f"margin_nt_xent{name}", loss, partial(margin_nt_xent, **wanted), 2)  # type: ignore[arg-type]


def clsr(a: Tensor, b: Tensor, temperature: float, adaptivity: float, intra_weight: float, groups: Tensor) -> Tensor:
    """Pair by pair."""
    n = len(a)
    other = [[j for j in range(n) if groups[j] != groups[i]] for i in range(n)]
    inter, intra = [], []
    for i in range(n):
        pair = cosine(a[i], b[i]) / temperature
        like = {j: ((cosine(a[i], a[j]) + cosine(b[i], b[j])) / 2).item() for j in other[i]}
        mean = sum(like.values()) / len(like)
        tau = {j: temperature * (1 + adaptivity * (s - mean)) for j, s in like.items()}
        for x, y in ((a, b), (b, a)):
            across = torch.stack([pair, *(cosine(x[i], y[j]) / tau[j] for j in other[i])])
            within = torch.stack([pair, *(cosine(x[i], x[j]) / temperature for j in other[i])])
            inter.append(-torch.log_softmax(across, 0)[0])
            intra.append(-torch.log_softmax(within, 0)[0])
    return torch.stack(inter).mean() + intra_weight * torch.stack(intra).mean()


def clsr_case(name: str, groups: Tensor | None = None, **options: float) -> Case:
    wanted = {"temperature": 0.3, "adaptivity": 0.4, "intra_weight": 0.6, **options}
    given = torch.arange(13) if groups is None else groups
    loss, slow = partial(losses.clsr, groups=groups, **wanted), partial(clsr, groups=given, **wanted)
    return Case(f"clsr{name}", loss, slow, 2)


CASES = (
    clsr_case(""),
    clsr_case(" groups", torch.arange(13) % 5),
    clsr_case(" plain", adaptivity=0.0, intra_weight=0.0),
    margin_case(""),
    margin_case(" aam", kind="aam"),
    margin_case(" aam beyond", kind="aam", margin=2.5),
    margin_case(" one way", symmetric=False),
    margin_case(" without", kind="none"),
)
