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
        mean = sum(like.values()) / max(len(like), 1)
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


RIGHT = torch.tensor([[True, False], [True, True], [False, False], [True, True]])
WRONG = torch.tensor([[True, True, True], [False, False, False], [True, False, True], [False, True, False]])


def composition_contrast(
    sounds: Tensor, captions: Tensor, right: Tensor | None, wrong: Tensor | None, temperature: float
) -> Tensor:
    """Row by row, over lists of sentences."""
    n = len(sounds)
    true = [[captions[i]] + ([] if right is None else [*right[i][RIGHT[i]]]) for i in range(n)]
    forth, back = [], []
    for i in range(n):
        candidates = true[i] + [captions[j] for j in range(n) if j != i]
        candidates += [] if wrong is None else [*wrong[i][WRONG[i]]]
        scores = torch.stack([cosine(sounds[i], c) for c in candidates]) / temperature
        forth.append(-torch.log_softmax(scores, 0)[: len(true[i])].mean())
        for sentence in true[i]:
            scores = torch.stack([cosine(sounds[j], sentence) for j in range(n)]) / temperature
            back.append(-torch.log_softmax(scores, 0)[i])
    return (torch.stack(forth).mean() + torch.stack(back).mean()) / 2


def composition_case(name: str, right: bool, wrong: bool) -> Case:
    def split(more: tuple[Tensor, ...]) -> tuple[Tensor | None, Tensor | None]:
        return (more[0] if right else None), (more[-1] if wrong else None)

    def loss(sounds: Tensor, captions: Tensor, *more: Tensor) -> Tensor:
        own, other = split(more)
        masks = {"positive_mask": RIGHT if right else None, "negative_mask": WRONG if wrong else None}
        return losses.composition_contrast(sounds, captions, temperature=0.3, positives=own, negatives=other, **masks)

    def slow(sounds: Tensor, captions: Tensor, *more: Tensor) -> Tensor:
        return composition_contrast(sounds, captions, *split(more), temperature=0.3)

    shapes = [(4, 6), (4, 6), *([(4, 2, 6)] if right else []), *([(4, 3, 6)] if wrong else [])]
    return Case(f"composition_contrast{name}", loss, slow, shapes=tuple(shapes))


HIDDEN = torch.tensor([[True, True, False, True, True], [False, False, True, True, False]])
TOLD_FROM = torch.tensor([[[1, 3], [0, 0], [0, 1], [4, 3], [0, 1]], [[2, 3]] * 2 + [[3, 3], [2, 3], [2, 3]]])


def masked_frame_contrast(predicted: Tensor, targets: Tensor) -> Tensor:
    """Frame by frame."""
    found = []
    for row, step in HIDDEN.nonzero().tolist():
        others = [int(o) for o in TOLD_FROM[row, step] if o != step]
        scores = [cosine(predicted[row, step], targets[row, o]) / 0.3 for o in (step, *others)]
        found.append(-torch.log_softmax(torch.stack(scores), 0)[0])
    return torch.stack(found).mean()


CASES = (
    Case(
        "masked_frame_contrast",
        lambda p, y: losses.masked_frame_contrast(p, y, HIDDEN, TOLD_FROM, temperature=0.3),
        masked_frame_contrast,
        shapes=((2, 5, 6), (2, 5, 6)),
    ),
    composition_case("", True, True),
    composition_case(" wrong alone", False, True),
    composition_case(" plain", False, False),
    clsr_case(""),
    clsr_case(" groups", torch.arange(13) % 5),
    clsr_case(" plain", adaptivity=0.0, intra_weight=0.0),
    margin_case(""),
    margin_case(" aam", kind="aam"),
    margin_case(" aam beyond", kind="aam", margin=2.5),
    margin_case(" one way", symmetric=False),
    margin_case(" without", kind="none"),
)
