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


CASES = (
    margin_case(""),
    margin_case(" aam", kind="aam"),
    margin_case(" aam beyond", kind="aam", margin=2.5),
    margin_case(" one way", symmetric=False),
    margin_case(" without", kind="none"),
)
