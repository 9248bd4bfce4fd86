"""Losses of restored and styled pictures, of the places of one picture, and of a pen."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.registry import Case


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return a @ b / (a.norm() * b.norm())


def alike(a: Tensor, b: Tensor) -> Tensor:
    """Mean cosine over the places of two maps (C, h, w)."""
    return torch.stack([cosine(x, y) for x, y in zip(a.flatten(1).T, b.flatten(1).T, strict=True)]).mean()


def informative_contrast(x: Tensor, pos: Tensor, neg: Tensor, form: str) -> Tensor:
    found = []
    for b in range(len(x)):
        far = [alike(x[b], n[b]) for n in neg]
        for p in pos:
            near = alike(x[b], p[b])
            if form == "difference":
                found.append(sum(far) / len(far) - near)
            else:
                e = [torch.exp(s / 0.5) for s in (near, *far)]
                found.append(-torch.log(e[0] / sum(e)))
    return sum(found) / len(found)


def dual_contrast(real: Tensor, made: Tensor) -> Tensor:
    def half(a: Tensor, b: Tensor) -> Tensor:
        return sum(-torch.log(torch.exp(x) / (torch.exp(x) + torch.exp(b).sum())) for x in a) / len(a)

    return half(real, made) + half(-made, -real)


def patch_nce(q: Tensor, k: Tensor, own: float | None) -> Tensor:
    found = []
    for b in range(len(q)):
        for i in range(q.shape[1]):
            e = [torch.exp(cosine(q[b, i], key.detach()) / 0.3) for key in k[b]]
            more = 0.0 if own is None else torch.exp(torch.tensor(own / 0.3, dtype=torch.float64))
            found.append(-torch.log(e[i] / (sum(e) + more)))
    return sum(found) / len(found)


CENTRES = torch.tensor([6, 8, 12])


def switched(steps: Tensor) -> Tensor:
    """Steps of a pen whose last two numbers are 0 or 1."""
    return torch.cat([steps[..., :2], (steps[..., 2:] > 0).to(steps)], -1)


def ink_likelihood(parameters: Tensor, steps: Tensor) -> Tensor:
    found = []
    for p, (x, y, *flags) in zip(parameters.flatten(0, 1), switched(steps).flatten(0, 1), strict=True):
        shares = torch.softmax(p[:2], 0)
        density = 0.0
        for k in range(2):
            dx, dy = torch.exp(p[6 + 2 * k]), torch.exp(p[7 + 2 * k])
            tilt = 0.95 * torch.tanh(p[10 + k])
            u, v = (x - p[2 + 2 * k]) / dx, (y - p[3 + 2 * k]) / dy
            rest = 1 - tilt**2
            power = -(u**2 + v**2 - 2 * tilt * u * v) / (2 * rest)
            density = density + shares[k] * torch.exp(power) / (2 * torch.pi * dx * dy * rest.sqrt())
        lost = -torch.log(density)
        for logit, flag in zip(p[12:], flags, strict=True):
            on = torch.sigmoid(logit)
            lost = lost - torch.log(on if flag else 1 - on)
        found.append(lost)
    return sum(found) / len(found)


def coherence_contrast(m: Tensor, c: Tensor) -> Tensor:
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    found = []
    for b in range(len(m)):
        pairs = []
        for centre in CENTRES.tolist():
            y, x = divmod(centre, 5)
            for dy, dx in around:
                pairs.append([each[b, :, y, x] - each[b, :, y + dy, x + dx] for each in (m, c.detach())])
        for i, (q, _) in enumerate(pairs):
            e = [torch.exp(cosine(q, k) / 0.3) for _, k in pairs]
            found.append(-torch.log(e[i] / sum(e)))
    return sum(found) / len(found)


def style_statistics(m: Tensor, s: Tensor) -> Tensor:
    found = []
    for b in range(len(m)):
        for c in range(m.shape[1]):
            means = [each[b, c].mean() for each in (m, s)]
            spreads = [
                (((each[b, c] - mean) ** 2).sum() / (each[b, c].numel() - 1) + 1e-5).sqrt()
                for each, mean in zip((m, s), means, strict=True)
            ]
            found.append((means[0] - means[1]) ** 2 + (spreads[0] - spreads[1]) ** 2)
    return sum(found) / len(found)


CASES = (
    Case(
        "coherence_contrast",
        lambda m, c: losses.coherence_contrast(m, c, CENTRES, temperature=0.3),
        coherence_contrast,
        shapes=((2, 4, 4, 5), (2, 4, 4, 5)),
    ),
    Case(
        "ink_likelihood",
        lambda parameters, steps: losses.ink_likelihood(parameters, switched(steps)),
        ink_likelihood,
        shapes=((2, 3, 14), (2, 3, 4)),
    ),
    Case("style_statistics", losses.style_statistics, style_statistics, shapes=((2, 4, 4, 5), (2, 4, 3, 3))),
    *(
        Case(
            f"informative_contrast {form}",
            partial(losses.informative_contrast, temperature=0.5, form=form),
            partial(informative_contrast, form=form),
            shapes=((2, 5, 3, 2), (2, 2, 5, 3, 2), (3, 2, 5, 3, 2)),
        )
        for form in ("infonce", "difference")
    ),
    Case("dual_contrast", losses.dual_contrast, dual_contrast, shapes=((4,), (3,))),
    *(
        Case(
            f"patch_nce {own}",
            partial(losses.patch_nce, temperature=0.3, own=own),
            partial(patch_nce, own=own),
            shapes=((2, 4, 5), (2, 4, 5)),
        )
        for own in (None, -0.5)
    ),
)
