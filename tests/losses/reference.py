"""Slow float64 versions of every loss, written straight from the formulas with loops and no shared code."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPS = 1e-12


def unit(x: Tensor) -> Tensor:
    return torch.stack([row / max(row.norm(), torch.tensor(EPS, dtype=row.dtype)) for row in x])


def cross_entropy(logits: list[Tensor], target: int) -> Tensor:
    return torch.logsumexp(torch.stack(logits), 0) - logits[target]


def info_nce(
    queries,
    keys,
    *,
    temperature,
    negatives=None,
    in_batch=True,
    symmetric=False,
    hard_negatives=None,
    hard_negative_bias=0.0,
    own_negatives=None,
    target=None,
    soft_targets=None,
    decoupled=False,
    normalize=True,
):
    """(N,) losses."""
    given = [queries, keys, negatives, hard_negatives]
    q, k, extra, hard = [x if x is None or not normalize else unit(x) for x in given]
    losses = []
    for i in range(len(q)):
        logits = [q[i] @ k[j] / temperature for j in (range(len(k)) if in_batch else [i])]
        right = (i if target is None else int(target[i])) if in_batch else 0
        count = len(logits)
        if extra is not None:
            logits += [q[i] @ row / temperature for row in extra]
        if own_negatives is not None:
            own = unit(own_negatives[i]) if normalize else own_negatives[i]
            logits += [q[i] @ row / temperature for row in own]
        if hard is not None:
            logits += [q[i] @ hard[j] / temperature + (hard_negative_bias if i == j else 0.0) for j in range(len(hard))]
        if soft_targets is not None:
            losses.append(sum(soft_targets[i, j] * cross_entropy(logits, j) for j in range(count)))
        else:
            losses.append(without(logits, right) if decoupled else cross_entropy(logits, right))
    losses = torch.stack(losses)
    if symmetric:
        one = without if decoupled else cross_entropy
        back = [one([q[j] @ k[i] / temperature for j in range(len(q))], i) for i in range(len(q))]
        losses = (losses + torch.stack(back)) / 2
    return losses


def symmetric_info_nce(a, b, **options):
    return info_nce(a, b, symmetric=True, **options)


def without(logits: list[Tensor], target: int) -> Tensor:
    """Cross-entropy whose denominator lacks the target."""
    return torch.logsumexp(torch.stack([x for j, x in enumerate(logits) if j != target]), 0) - logits[target]


def nt_xent(z1, z2, *, temperature, normalize=True, decoupled=False):
    """(2N,) losses."""
    z = torch.cat((z1, z2))
    z = unit(z) if normalize else z
    n = len(z1)
    losses = []
    for i in range(2 * n):
        others = [j for j in range(2 * n) if j != i]
        logits = [z[i] @ z[j] / temperature for j in others]
        right = others.index((i + n) % (2 * n))
        losses.append(without(logits, right) if decoupled else cross_entropy(logits, right))
    return torch.stack(losses)


def grace(u, v, *, temperature, intra=True):
    u, v = unit(u), unit(v)

    def one(a, b):
        losses = []
        for i in range(len(a)):
            logits = [a[i] @ b[j] / temperature for j in range(len(b))]
            if intra:
                logits += [a[i] @ a[j] / temperature for j in range(len(a)) if j != i]
            losses.append(cross_entropy(logits, i))
        return torch.stack(losses).mean()

    return (one(u, v) + one(v, u)) / 2


def kl(p: Tensor, r: Tensor, mode: str) -> Tensor:
    """KL(p || r) of two probability vectors with the gradient of ``mode``."""
    if mode == "full":
        return sum(a * (a.log() - b.log()) for a, b in zip(p, r, strict=True))
    if mode == "sg_entropy":
        entropy = sum(a * a.log() for a in p).detach()
        return entropy - sum(a * b.log() for a, b in zip(p, r, strict=True))
    fixed = p.detach()
    return sum(a * (a.log() - b.log()) for a, b in zip(fixed, r, strict=True))


def predictions(online, target, temperature):
    online, target = unit(online), unit(target.detach())
    return torch.stack([torch.softmax(torch.stack([row @ t / temperature for t in target]), 0) for row in online])


def relic(o1, o2, t1, t2, *, temperature, alpha, kl_mode="full"):
    p12, p21 = predictions(o1, t2, temperature), predictions(o2, t1, temperature)
    n = len(o1)
    contrastive = sum(-p12[i, i].log() - p21[i, i].log() for i in range(n)) / n
    invariance = sum(kl(p12[i], p21[i], kl_mode) + kl(p21[i], p12[i], kl_mode) for i in range(n)) / n
    return {"contrastive": contrastive, "invariance": alpha * invariance}


def relic_multicrop(online, target, *, temperature, alpha, kl_mode="sg_entropy", include_same_crop=True):
    large, n = len(target), len(online[0])
    contrastive, invariance, count = 0.0, 0.0, 0
    for v in range(len(online)):
        for t in range(large):
            if v == t and not include_same_crop:
                continue
            count += 1
            p = predictions(online[v], target[t], temperature)
            contrastive = contrastive + sum(-p[i, i].log() for i in range(n)) / n
            if v == t:
                continue
            if v < large:
                back = predictions(online[t], target[v], temperature)
                invariance = invariance + sum(kl(p[i], back[i], kl_mode) for i in range(n)) / n
            else:
                whole = predictions(online[t], target[t], temperature)
                invariance = invariance + sum(kl(whole[i], p[i], kl_mode) for i in range(n)) / n
    return {"contrastive": contrastive / count, "invariance": alpha * invariance / count}


def supcon(
    features,
    labels=None,
    *,
    temperature,
    mask=None,
    weights=None,
    base_temperature=None,
    **options,
):
    n = len(features)
    if labels is not None:
        weights = torch.tensor([[float(labels[i] == labels[j]) for j in range(n)] for i in range(n)])
    loss = weighted_supcon(
        features, features, mask if weights is None else weights, temperature=temperature, exclude_self=True, **options
    )
    return loss if base_temperature is None else loss * temperature / base_temperature


def weighted_supcon(
    anchors,
    contrast,
    weights,
    *,
    temperature,
    denominator=None,
    exclude_self=False,
    anchor_weights=None,
    divide_by="weight",
    on_empty="zero",
    normalize=True,
):
    x, y = (unit(z) if normalize else z for z in (anchors, contrast))
    losses = []
    for i in range(len(x)):
        tau = temperature[i] if isinstance(temperature, Tensor) and temperature.ndim else temperature
        logits = [x[i] @ row / tau for row in y]
        others = [j for j in range(len(y)) if not (exclude_self and i == j)]
        below = [logits[j] for j in others if denominator is None or denominator[i, j]]
        positives = {j: float(weights[i, j]) for j in others if weights[i, j] > 0}
        if not positives or not below:
            if on_empty == "zero":
                losses.append(x.sum() * 0)
            continue
        lse = torch.logsumexp(torch.stack(below), 0)
        divisor = {"weight": sum(positives.values()), "count": len(positives), "none": 1}[divide_by]
        loss = -sum(w * (logits[j] - lse) for j, w in positives.items()) / divisor
        losses.append(loss if anchor_weights is None else loss * anchor_weights[i])
    return torch.stack(losses).mean() if losses else x.sum() * 0


def sigmoid_pair_loss(a, b, *, temperature, bias, normalize=True):
    a, b = (unit(a), unit(b)) if normalize else (a, b)
    total = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            sign = 1.0 if i == j else -1.0
            total = total - torch.nn.functional.logsigmoid(sign * (a[i] @ b[j] / temperature + bias))
    return total / len(a)


def negative_cosine(p, z):
    return -sum(x @ y for x, y in zip(unit(p), unit(z.detach()), strict=True)) / len(p)


def byol_regression(p1, p2, t1, t2):
    total = 0.0
    for p, t in ((p1, t2.detach()), (p2, t1.detach())):
        total = total + sum(((x - y) ** 2).sum() for x, y in zip(unit(p), unit(t), strict=True))
    return total / len(p1)


def barlow_twins(z1, z2, *, lambd):
    n, d = z1.shape

    def standardize(z):
        return torch.stack([(c - c.mean()) / torch.sqrt(((c - c.mean()) ** 2).mean() + 1e-5) for c in z.t()], dim=1)

    x, y = standardize(z1), standardize(z2)
    total = 0.0
    for i in range(d):
        for j in range(d):
            c = x[:, i] @ y[:, j] / n
            total = total + ((c - 1) ** 2 if i == j else lambd * c**2)
    return total


def vicreg(z1, z2, *, invariance=25.0, variance=25.0, covariance=1.0):
    n, d = z1.shape
    hinge, spread = 0.0, 0.0
    for z in (z1, z2):
        centred = z - z.mean(0)
        for i in range(d):
            var = (centred[:, i] ** 2).sum() / (n - 1)
            hinge = hinge + torch.clamp(1 - torch.sqrt(var + 1e-4), min=0) / d / 2
            for j in range(d):
                if i != j:
                    spread = spread + (centred[:, i] @ centred[:, j] / (n - 1)) ** 2 / d
    return {
        "invariance": invariance * ((z1 - z2) ** 2).mean(),
        "variance": variance * hinge,
        "covariance": covariance * spread,
    }


def feature_distance(a, b, metric, mask=None):
    """Every valid position takes part; ``mmd`` on maps of at most 256 positions."""
    batch, channels, height, width = a.shape
    per_image, total, count = [], 0.0, 0
    for n in range(batch):
        places = [(r, c) for r in range(height) for c in range(width) if mask is None or mask[n, r, c]]
        if metric == "mmd":
            per_image.append(mmd([a[n, :, r, c] for r, c in places], [b[n, :, r, c] for r, c in places]))
            continue
        for r, c in places:
            x, y = a[n, :, r, c], b[n, :, r, c]
            count += 1
            if metric == "cosine":
                total = total + 1 - x @ y / (x.norm() * y.norm())
            else:
                total = total + ((x - y) ** 2).sum() / channels
    if metric == "mmd":
        return sum(per_image) / batch
    return total / max(count, 1)


def mmd(xs, ys):
    if not xs:
        return 0.0
    joined = [*xs, *ys]
    squared = [((u - v) ** 2).sum().detach() for i, u in enumerate(joined) for j, v in enumerate(joined) if i != j]
    median = sorted(squared)[(len(squared) - 1) // 2]

    def k(u, v):
        return sum(torch.exp(-((u - v) ** 2).sum() / (s * median)) for s in (0.5, 1.0, 2.0)) / 3

    def mean(us, vs):
        return sum(k(u, v) for u in us for v in vs) / (len(us) * len(vs))

    return mean(xs, xs) + mean(ys, ys) - 2 * mean(xs, ys)


def relative_error(value: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what is expected (over 1e-300 where that is zero)."""
    difference = (value.double() - expected.double()).norm().item()
    return difference / max(expected.double().norm().item(), math.ulp(0.0))
