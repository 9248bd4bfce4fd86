"""Losses of maps, cells and patches."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from nearfar import losses
from tests.losses import reference
from tests.losses.registry import Case, draw

CLOSE = draw(3, 4, 5, seed=9) > 0.3
CLOSE[:, 0, 0] = True
HIDDEN = draw(3, 4, seed=8) > -0.3
INSIDE = draw(2, 3, 5, 4, seed=7) > 0.5


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return a @ b / (a.norm() * b.norm())


def pixel_consistency(y: Tensor, z: Tensor) -> Tensor:
    images = []
    for n, close in enumerate(CLOSE):
        found = [cosine(y[n, i], z[n, j].detach()) for i, j in close.nonzero().tolist()]
        images.append(sum(found) / (len(found) + 1e-6))
    return -2 * sum(images) / len(images)


def pixel_contrast(q: Tensor, k: Tensor) -> Tensor:
    images = []
    for n, close in enumerate(CLOSE):
        rows = []
        for i in range(len(close)):
            e = torch.stack([torch.exp(cosine(q[n, i], k[n, j]) / 0.3) for j in range(close.shape[1])])
            if close[i].any():
                rows.append(torch.log(e.sum() / e[close[i]].sum()))
        images.append(sum(rows) / len(rows))
    return sum(images) / len(images)


def dense_correspondence(a: Tensor, b: Tensor) -> Tensor:
    found = [[max(range(len(b[n])), key=lambda j, q=q, n=n: float(cosine(q, b[n, j]))) for q in a[n]]
             for n in range(len(a))]  # fmt: skip
    return torch.tensor(found)


def dense_nt_xent(g1: Tensor, g2: Tensor) -> Tensor:
    found = []
    for queries, keys, close in ((g1, g2, CLOSE), (g2, g1, CLOSE.mT)):
        for n in range(len(queries)):
            far = [k for m in range(len(queries)) if m != n for k in (*g1[m], *g2[m])]
            for i in range(queries.shape[1]):
                negative = sum(torch.exp(cosine(queries[n, i], k) / 0.3) for k in far)
                e = [torch.exp(cosine(queries[n, i], k) / 0.3) for k in keys[n][close[n, i]]]
                if e:
                    found.append(sum(torch.log((v + negative) / v) for v in e) / len(e))
    return sum(found) / len(found)


def aligned_patch_contrast(anchor: Tensor, positive: Tensor, negatives: Tensor) -> Tensor:
    a, p = (x.unflatten(2, (2, 2)).unflatten(4, (2, 2)).mean((3, 5)).movedim(1, 3).flatten(0, 2) for x in
            (anchor, positive))  # fmt: skip
    return reference.info_nce(a, p, temperature=0.3, negatives=negatives, in_batch=False).mean()


def normalized_entropy(logits: Tensor) -> Tensor:
    p = logits.softmax(1)
    return -(p * p.log()).sum(1).mean() / math.log(logits.shape[1])


def prototype_contrast(vectors: Tensor, prototypes: Tensor) -> Tensor:
    """Two classes of one row each: whatever is drawn, it is these."""
    found = []
    for c in (0, 1):
        right = torch.exp(cosine(vectors[c], prototypes[c].detach()) / 0.5)
        wrong = 4 * torch.exp(cosine(vectors[c], vectors[1 - c].detach()) / 0.5)
        found.append(torch.log((right + wrong) / right))
    return sum(found) / 2


def masked_regions(logits: Tensor) -> Tensor:
    mask = HIDDEN[:2].repeat(1, 2)[:, :5]
    each = [
        -torch.nn.functional.logsigmoid(x if INSIDE[n, k, patch, i] else -x) * (1.0 if INSIDE[n, k, patch, i] else 0.4)
        for n, patch in mask.nonzero().tolist()
        for k in range(3)
        for i, x in enumerate(logits[n, k, patch])
    ]
    return sum(each) / len(each)


def masked_reconstruction(prediction: Tensor, target: Tensor) -> Tensor:
    found = []
    for n, patch in HIDDEN.nonzero().tolist():
        y = target[n, patch]
        found.append(((prediction[n, patch] - (y - y.mean()) / (y.var() + 1e-6).sqrt()) ** 2).mean())
    return sum(found) / len(found)


def latent_prediction(prediction: Tensor, target: Tensor) -> Tensor:
    found = [((prediction[n, i] - target[n, i].detach()) ** 2).mean() for n, i in HIDDEN.nonzero().tolist()]
    return sum(found) / len(found)


ASKED = torch.tensor([[2, -1, 0], [-1, 4, 4]])


def masked_tokens(logits: Tensor) -> Tensor:
    found = [logits[n, t].logsumexp(0) - logits[n, t, ASKED[n, t]] for n, t in (ASKED >= 0).nonzero().tolist()]
    return sum(found) / len(found)


NAMED = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0]], dtype=torch.bool)


def token_supcon(z: Tensor, most: int | None = None) -> Tensor:
    phrases = []
    for row in NAMED:
        mine = row.nonzero().flatten().tolist()
        found = []
        for i in mine:
            others = [j for j in mine if j != i]
            far = [a for a in range(len(z)) if a != i and not (NAMED[:, a] & NAMED[:, i]).any()]
            far = sorted(far, key=lambda a, i=i: -cosine(z[i], z[a]).item())[:most]
            e = {a: torch.exp(cosine(z[i], z[a]) / 0.3) for a in {*others, *far}}
            found += [-sum(torch.log(e[j] / sum(e.values())) for j in others) / len(others)] if others else []
        phrases += [sum(found) / len(found)] if found else []
    return sum(phrases) / len(phrases)


def token_phrase_agreement(z: Tensor, t: Tensor) -> Tensor:
    phrases = []
    for r, row in enumerate(NAMED):
        mine = row.nonzero().flatten().tolist()
        yes = [-torch.log(torch.sigmoid(cosine(z[i], t[r]))) for i in mine]
        no = [-torch.log(1 - torch.sigmoid(cosine(z[i], t[s]))) for i in mine for s in range(len(t)) if s != r]
        phrases.append((sum(yes) / len(yes) + sum(no) / len(no)) / 2)
    return sum(phrases) / len(phrases)


def focal_loss(x: Tensor) -> Tensor:
    found = []
    for value, yes in zip(x.flatten(), HIDDEN.flatten().tolist(), strict=True):
        right = torch.sigmoid(value if yes else -value)
        found.append(-(0.25 if yes else 0.75) * (1 - right) ** 2 * torch.log(right))
    return sum(found) / len(found)


CELLS = ((3, 4, 6), (3, 5, 6))
PATCHES = ((3, 4, 6), (3, 4, 6))
MAPS = ((2, 5, 4, 4), (2, 5, 4, 4))

CASES = (
    *(
        Case(
            f"feature_distance {metric}",
            partial(losses.feature_distance, metric=metric),
            partial(reference.feature_distance, metric=metric),
            shapes=MAPS,
        )
        for metric in ("cosine", "l2", "mmd")
    ),
    Case("pixel_consistency", lambda y, z: losses.pixel_consistency(y, z, CLOSE), pixel_consistency, shapes=CELLS),
    Case("pixel_contrast", lambda q, k: losses.pixel_contrast(q, k, CLOSE), pixel_contrast, shapes=CELLS),
    Case("dense_correspondence", losses.dense_correspondence, dense_correspondence, shapes=CELLS),
    Case(
        "dense_nt_xent",
        lambda a, b: losses.dense_nt_xent(a, b, CLOSE, CLOSE.mT, temperature=0.3, negatives="all"),
        dense_nt_xent,
        shapes=CELLS,
    ),
    Case(
        "aligned_patch_contrast",
        lambda a, p, n: losses.aligned_patch_contrast(a, p, torch.ones_like(a[:, :1]), n, grid=2),
        aligned_patch_contrast,
        shapes=(*MAPS, (6, 5)),
    ),
    Case("normalized_entropy", losses.normalized_entropy, normalized_entropy, shapes=MAPS[:1]),
    Case(
        "prototype_contrast",
        lambda v, p: losses.prototype_contrast(v, torch.tensor([0, 1]), p, queries=3, negatives=4),
        prototype_contrast,
        shapes=((2, 5), (2, 5)),
    ),
    Case(
        "masked_regions",
        lambda x: losses.masked_regions(x, INSIDE, HIDDEN[:2].repeat(1, 2)[:, :5], background=0.4),
        masked_regions,
        shapes=((2, 3, 5, 4),),
    ),
    Case(
        "masked_reconstruction",
        lambda p, t: losses.masked_reconstruction(p, t, HIDDEN),
        masked_reconstruction,
        shapes=PATCHES,
    ),
    Case("masked_tokens", lambda x: losses.masked_tokens(x, ASKED), masked_tokens, shapes=((2, 3, 5),)),
    Case("latent_prediction", lambda p, t: losses.latent_prediction(p, t, HIDDEN), latent_prediction, shapes=PATCHES),
    *(
        Case(
            f"token_supcon {most or 'all'}",
            partial(losses.token_supcon, named=NAMED, temperature=0.3, max_negatives=most),
            partial(token_supcon, most=most),
            shapes=((7, 5),),
        )
        for most in (None, 2)
    ),
    Case(
        "token_phrase_agreement",
        lambda z, t: losses.token_phrase_agreement(z, t, NAMED),
        token_phrase_agreement,
        shapes=((7, 5), (3, 5)),
    ),
    Case("focal_loss", lambda x: losses.focal_loss(x, HIDDEN.to(x.dtype)), focal_loss, shapes=((3, 4),)),
)
