"""Slow float64 versions of the losses of many views, mixtures and hard pairs, straight from their formulas."""

from __future__ import annotations

import math

import torch
from scipy.special import iv
from torch import Tensor

from tests.losses.reference import cross_entropy, nt_xent, relic, unit


def poly_view(views, *, temperature, variant):
    x = [unit(z) for z in views]
    count, n = len(x), len(x[0])
    if variant == "multi-crop":
        pairs = [nt_xent(x[a], x[b], temperature=temperature).mean() for a in range(count) for b in range(a)]
        return torch.stack(pairs).mean()
    rest = [sum(x[h] for h in range(count) if h != g) / (count - 1) for g in range(count)]
    against = rest if variant == "sufficient-statistics" else x
    losses = []
    for a in range(count):
        for i in range(n):
            others = [x[a][i] @ against[g][j] / temperature for j in range(n) if j != i for g in range(count)]
            if variant == "sufficient-statistics":
                losses.append(cross_entropy([x[a][i] @ rest[a][i] / temperature, *others], 0))
                continue
            found = [cross_entropy([x[a][i] @ x[b][i] / temperature, *others], 0) for b in range(count) if b != a]
            if variant == "geometric":
                losses.append(sum(found) / (count - 1))
            else:
                losses.append(-torch.log(sum(torch.exp(-one) for one in found) / (count - 1)))
    return torch.stack(losses).mean()


def mixed_barlow_twins(z1, z2, mixed, partner, *, share, lambd, weight, normalize=True):
    n, d = z1.shape

    def standardize(z: Tensor) -> Tensor:
        z = unit(z) if normalize else z
        return torch.stack([(c - c.mean()) / c.std() for c in z.t()], dim=1)

    s1, s2, sm, sp = map(standardize, (z1, z2, mixed, partner))
    barlow = gap = 0.0
    for i in range(d):
        for j in range(d):
            c = s1[:, i] @ s2[:, j] / n
            barlow = barlow + ((c - 1) ** 2 if i == j else lambd * c**2)
            for view in (s1, s2):
                found = sm[:, i] @ view[:, j] / n
                target = (share * s1[:, i] @ view[:, j] + (1 - share) * sp[:, i] @ view[:, j]) / n
                gap = gap + (found - target) ** 2
    return {"barlow": barlow, "mixed": weight * lambd * gap}


def cacr(views, *, tau_pos, tau_neg, alpha, beta):
    x = [unit(z) for z in views]
    count, n = len(x), len(x[0])
    pulls, pushes = [], []
    for a in range(count):
        for i in range(n):
            costs = torch.stack([((x[a][i] - x[b][i]) ** 2).sum() for b in range(count) if b != a])
            pulls.append(alpha * (torch.softmax(tau_pos * costs, 0) * costs).sum())
            for b in range(a + 1, count):
                costs = torch.stack([((x[a][i] - x[b][j]) ** 2).sum() for j in range(n) if j != i])
                pushes.append(-beta * (torch.softmax(-tau_neg * costs, 0) * costs).sum())
    return {"attraction": sum(pulls) / len(pulls), "repulsion": sum(pushes) / len(pushes)}


def cacr_queue(queries, keys, queue, *, tau_pos, tau_neg, alpha, beta):
    q, k, bank = [unit(z) for z in queries], [unit(z.detach()) for z in keys], unit(queue.detach())
    pulls, pushes = [], []
    for a in range(len(q)):
        for i in range(len(q[0])):
            near = torch.stack([((q[a][i] - k[b][i]) ** 2).sum() for b in range(len(q)) if b != a])
            pulls.append(alpha * (torch.softmax(tau_pos * near.detach(), 0) * near).sum())
            past = torch.stack([((q[a][i] - old) ** 2).sum() for old in bank])
            inside = torch.stack([((q[a][i] - q[a][j]) ** 2).sum() for j in range(len(q[0])) if j != i])
            weights = torch.softmax(-tau_neg * torch.cat([past.detach(), inside]), 0)
            pushes.append(-beta * (weights * torch.cat([past, inside])).sum())
    return {"attraction": sum(pulls) / len(pulls), "repulsion": sum(pushes) / len(pushes)}


def cacr_keys(queries, keys, *, temperature, cost):
    q, k = [unit(z) for z in queries], [unit(z.detach()) for z in keys]
    n, total = len(q[0]), 0.0
    for b in range(len(k)):
        others = [a for a in range(len(q)) if a != b]
        for i in range(n):
            apart = torch.stack([((q[a][i] - k[b][i]) ** 2).sum().detach() for a in others])
            for share, a in zip(torch.softmax(apart / temperature, 0), others, strict=True):
                cosines = torch.stack([q[a][i] @ k[b][j] for j in range(n)])
                if cost == "rbf":
                    loss = 2 * temperature * -torch.log_softmax(cosines / temperature, 0)[i] / n
                else:
                    far = torch.stack([1 - cosines[j] for j in range(n) if j != i])
                    loss = 1 - cosines[i] - (torch.softmax(-far.detach() / temperature, 0) * far).sum()
                total = total + share * loss
    return total / len(k)


def amcl(z1, z2, scores1, scores2, *, low, high, beta, negatives):
    n, d = z1.shape
    z, phi = unit(torch.cat([z1, z2])), torch.cat([scores1, scores2])
    contrast = prices = 0.0
    for i in range(2 * n):
        tau = [low + (high - low) * torch.sigmoid(phi[i] @ phi[j]) for j in range(2 * n)]
        price = [d / 2 * torch.log(t) + 1 / t for t in tau]
        positive = (i + n) % (2 * n)
        others = [j for j in range(2 * n) if j not in (i, positive)]
        if negatives == "max":
            hardest = max(others, key=lambda j: float((z[i] @ z[j]).detach()))
            contrast = contrast + z[i] @ z[hardest] / tau[hardest] - z[i] @ z[positive] / tau[positive]
            prices = prices + price[positive] - price[hardest]
            continue
        logits = [z[i] @ z[j] / tau[j] for j in (positive, *others)]
        contrast = contrast + cross_entropy(logits, 0)
        shares = torch.softmax(torch.stack(logits[1:]).detach(), 0)
        prices = prices + price[positive] - sum(s * price[j] for s, j in zip(shares, others, strict=True))
    return {"contrast": contrast / (2 * n), "temperature": beta * prices / (2 * n)}


def log_density_scale(d: int, kappa: float) -> float:
    return (d / 2 - 1) * math.log(kappa) - d / 2 * math.log(2 * math.pi) - math.log(iv(d / 2 - 1, kappa))


def vmf_entropy(z, *, kappa, estimator):
    z = unit(z)
    n, d = z.shape
    log_c = log_density_scale(d, kappa)
    density = torch.stack([sum(torch.exp(log_c + kappa * z[i] @ z[j]) for j in range(n)) / n for i in range(n)])
    if estimator == "joe":
        return -density.log().mean()
    return -(density / density.sum() * density.log()).sum()


def vmf_reconstruction(z1, z2, *, kappa):
    found = [-log_density_scale(z1.shape[1], kappa) - kappa * x @ y for x, y in zip(unit(z1), unit(z2), strict=True)]
    return sum(found) / len(z1)


def rotational_equivariance(z1, z2, *, group_size):
    x, y = unit(z1), unit(z2)
    found = []
    for first in range(0, len(x), group_size):
        group = range(first, first + group_size)
        gaps = [(x[i] @ x[j] - y[i] @ y[j]) ** 2 for i in group for j in group if i != j]
        found.append(2 / group_size * sum(gaps))
    return sum(found) / len(found)


def discrete_entropy(p):
    mean = sum(p) / len(p)
    return -sum(share * torch.log(share + 1e-7) for share in mean)


def discrete_reconstruction(p1, p2):
    each = [-(a * torch.log(b + 1e-7)).sum() - (b * torch.log(a + 1e-7)).sum() for a, b in zip(p1, p2, strict=True)]
    return sum(each) / len(each) / 2


def bag_divergence(logits, bags):
    each = [(b * (b.log() - x.log_softmax(0))).sum() for x, b in zip(logits, bags, strict=True)]
    return sum(each) / len(each)


def swapped_prediction(scores, codes, *, temperature):
    found = []
    for a, code in enumerate(codes):
        for v, score in enumerate(scores):
            if v != a:
                rows = [-(q * (x / temperature).log_softmax(0)).sum() for q, x in zip(code, score, strict=True)]
                found.append(sum(rows) / len(rows))
    return sum(found) / len(found)


def sinkhorn(scores, *, epsilon, iterations=3):
    q = torch.exp(scores.detach() / epsilon)
    for _ in range(iterations):
        q = torch.stack([column / column.sum() for column in q.t()], 1)
        q = torch.stack([row / row.sum() for row in q])
    return q


def relic_kl(o1, o2, t1, t2, *, temperature):
    with torch.no_grad():
        return relic(o1, o2, t1, t2, temperature=temperature, alpha=1.0)["invariance"] / 2
