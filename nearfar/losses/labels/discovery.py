"""Some rows labelled, classes yet to be found."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import embeddings, floating, full_precision, number
from nearfar.losses.contrast.infonce import nt_xent
from nearfar.losses.contrast.labels import supcon


@full_precision
def gcd(
    z1: Tensor,
    z2: Tensor,
    labels: Tensor,
    *,
    weight_labelled: float = 0.35,
    temperature: float = 1.0,
    temperature_labelled: float = 0.07,
) -> dict[str, Tensor]:
    """Contrast of everything with its other view, and of the labelled rows by their classes (GCD, arXiv 2201.02609).

    ``(1 - w) nt_xent + w supcon``. Without a labelled row the second term is 0, where the released code fails.

    Args:
        z1, z2: (N, D), both views.
        labels: (N,) class numbers, below 0 where not labelled.
        weight_labelled: w in [0, 1].
        temperature, temperature_labelled: of the terms, above 0.
    """
    first, second = embeddings(z1=z1, z2=z2)
    known = labels >= 0
    terms = {"views": (1 - weight_labelled) * nt_xent(first, second, temperature=temperature)}
    if bool(known.any()):
        z = torch.cat([first[known], second[known]])
        terms["classes"] = weight_labelled * supcon(z, labels[known].repeat(2), temperature=temperature_labelled)
    else:
        terms["classes"] = 0.0 * (first.sum() + second.sum())
    return terms


@full_precision
def semicon(z1: Tensor, z2: Tensor, labels: Tensor, *, alpha: float = 1.0, temperature: float = 0.07) -> Tensor:
    """Labelled rows are contrasted by class, the others with their other view alone (SemiCon, arXiv 2207.05615).

    All rows are in every denominator. The sum over anchors is divided by the number of all rows, whatever ``alpha``.

    Args:
        z1, z2: (N, D), both views.
        labels: (N,) class numbers, below 0 where not labelled.
        alpha: weight of anchors without a label.
        temperature: above 0.
    """
    z = torch.cat(embeddings(z1=z1, z2=z2))
    own = torch.where(labels < 0, -1 - torch.arange(len(labels), device=labels.device), labels)
    weights = torch.where(labels < 0, number("alpha", alpha, at_least=0.0), 1.0).to(z)
    return supcon(z, own.repeat(2), temperature=temperature, anchor_weights=weights.repeat(2))


@full_precision
def adaptive_pseudo_labels(
    logits1: Tensor,
    logits2: Tensor,
    *,
    share: float,
    temperature: float = 0.1,
    teacher_temperature: float = 0.05,
) -> Tensor:
    r"""Each view learns what the other says: for the most confident rows its class, for the others its probabilities.

    ProtoGCD's dual-level adaptive pseudo-labelling (arXiv 2504.03755; released ``models/loss.py``). Confidence is
    the ratio of the two largest probabilities; the ``floor(share N)`` most confident rows of each view become one-hot.

    Args:
        logits1, logits2: (N, K) cosines of both views.
        share: of rows with a hard label, in [0, 1].
        temperature, teacher_temperature: of what learns and of what teaches, above 0.
    """
    both = floating(logits1=logits1, logits2=logits2)
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}")
    taught = [_hardened(torch.softmax(x.detach() / teacher_temperature, dim=1), share) for x in both]
    said = [F.log_softmax(x / temperature, dim=1) for x in both]
    pairs = ((taught[0], said[1]), (taught[1], said[0]))
    return torch.stack([-(target * guess).sum(1).mean() for target, guess in pairs]).mean()


def _hardened(p: Tensor, share: float) -> Tensor:
    best = p.topk(2, dim=1).values
    surest = (best[:, 0] / (best[:, 1] + 1e-6)).topk(int(share * len(p))).indices
    hard = F.one_hot(p[surest].argmax(1), p.shape[1]).to(p)
    return p.index_copy(0, surest, hard)


@full_precision
def marginal_entropy_gap(logits: Tensor, *, temperature: float = 0.1) -> Tensor:
    """By how much the entropy of the mean prediction falls short of the uniform one's, log K: 0 when all classes are
    used alike.

    Args:
        logits: (N, K), all views together.
        temperature: above 0.
    """
    (x,) = floating(logits=logits)
    mean = torch.softmax(x / temperature, dim=1).mean(0)
    return math.log(x.shape[1]) + torch.xlogy(mean, mean.clamp_min(torch.finfo(mean.dtype).tiny)).sum()


@full_precision
def prototype_separation(prototypes: Tensor, *, temperature: float = 0.1) -> Tensor:
    r"""How close prototypes are: :math:`\operatorname{mean}_i \log \operatorname{mean}_{j \ne i} e^{\mu_i \cdot \mu_j /
    \tau}`, rows L2-normalised.

    Args:
        prototypes: (K, D), K at least 2.
        temperature: above 0.
    """
    (mu,) = embeddings(prototypes=prototypes)
    if len(mu) < 2:
        raise ValueError("prototypes must be two or more")
    unit = F.normalize(mu, dim=1)
    self_pair = torch.eye(len(mu), dtype=torch.bool, device=mu.device)
    cosines = (unit @ unit.T / temperature).masked_fill(self_pair, -torch.inf)
    return (torch.logsumexp(cosines, dim=1) - math.log(len(mu) - 1)).mean()
