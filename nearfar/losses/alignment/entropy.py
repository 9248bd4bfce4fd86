"""Entropy and reconstruction: the two halves of what one view's embedding tells of the other's (ER)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, number, paired, squared_lengths, unit_rows
from nearfar.losses.engine.logsumexp import self_logsumexp
from nearfar.losses.engine.tiles import LOG2E, exponents_are_bounded

PROBABILITY_FLOOR = 1e-7
ESTIMATORS = ("plug-in", "joe")
Estimator = Literal["plug-in", "joe"]


@full_precision
def vmf_entropy(z: Tensor, *, kappa: float = 10.0, estimator: Estimator = "plug-in") -> Tensor:
    r"""Entropy in nats of embeddings on the sphere, by a kernel density estimate (arXiv 2307.10907; released code
    ``entropy_reconstruction.py``, ``entropy``).

    With von Mises-Fisher kernels around all N rows of length 1 in D dimensions, the row itself included,

    .. math::
        -\log p_i = -\log \frac1N \sum_j c \, e^{\kappa z_i \cdot z_j}, \qquad
        \log c = (\tfrac D2 - 1) \log \kappa - \tfrac D2 \log 2 \pi - \log I_{D/2-1}(\kappa) .

    ``"joe"`` averages it over the rows, ``"plug-in"`` weighs rows with their own densities, scaled to the sum 1. The
    entropy of a continuous variable may be below 0. The released code adds 1e-7 to the Bessel function, which is far
    smaller than that from some 80 dimensions on: its values are off by a constant, the gradients agree. Memory is
    linear in N.

    Args:
        z: (N, D), D at least 2.
        kappa: concentration of the kernels, above 0; 10 in the paper.
        estimator: ``"plug-in"`` or ``"joe"``.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than two dimensions, an unknown estimator, or a kappa that is not positive.
    """
    (z,) = embeddings(z=z)
    choice("estimator", estimator, ESTIMATORS)
    log_c = _log_normalizer(z.shape[1], kappa)
    y = unit_rows(z, (kappa * LOG2E) ** 0.5)
    others = self_logsumexp(y, bounded=exponents_are_bounded(kappa, normalized=True))
    surprise = math.log(len(z)) - log_c - torch.logaddexp(others, kappa * squared_lengths(unit_rows(z)))
    return surprise.mean() if estimator == "joe" else (torch.softmax(-surprise, dim=0) * surprise).sum()


@full_precision
def vmf_reconstruction(z1: Tensor, z2: Tensor, *, kappa: float = 10.0) -> Tensor:
    r"""How badly each row of ``z1`` predicts that of ``z2``, in nats: :math:`\operatorname{mean}_i (-\log c - \kappa
    z_{1i} \cdot z_{2i})`, minus the logarithm of a von Mises-Fisher density (see :func:`vmf_entropy` for c).

    Args:
        z1: (N, D), predictions, D at least 2.
        z2: (N, D), what is predicted.
        kappa: concentration of the density, above 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than two dimensions, a kappa that is not positive, or shapes or devices that do not fit.
    """
    z1, z2 = paired(z1=z1, z2=z2)
    log_c = _log_normalizer(z1.shape[1], kappa)
    return -kappa * (unit_rows(z1) * unit_rows(z2)).sum(1).mean() - log_c


@full_precision
def discrete_entropy(p: Tensor, *, estimator: str = "plug-in") -> Tensor:
    r"""Entropy in nats of the mean of N assignments to K clusters: :math:`-\sum_k \bar p_k \log(\bar p_k + 10^{-7})`.

    Its largest value is ln K, when all clusters are equally frequent (same source as :func:`vmf_entropy`).

    Args:
        p: (N, K), at least 0, rows summing to 1.
        estimator: ``"average"`` weighs all clusters alike, :math:`-\frac1K \sum_k \log(\bar p_k + 10^{-7})`, which is
            least where they are equally frequent: the cross-entropy with equal shares, to be made small.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: no matrix, or an unknown estimator.
    """
    (p,) = embeddings(p=p)
    choice("estimator", estimator, ("plug-in", "average"))
    mean = p.mean(0)
    if estimator == "average":
        return -(mean + PROBABILITY_FLOOR).log().mean()
    return -(mean * (mean + PROBABILITY_FLOOR).log()).sum()


@full_precision
def discrete_reconstruction(p1: Tensor, p2: Tensor) -> Tensor:
    r"""Mean of the cross-entropies of ``p1`` and ``p2`` in both directions, in nats, with gradients through both.

    Args:
        p1: (N, K), assignments of one view to K clusters, rows summing to 1.
        p2: (N, K), of the other view.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or devices that do not fit.
    """
    p1, p2 = paired(p1=p1, p2=p2)
    forth = (p1 * (p2 + PROBABILITY_FLOOR).log()).sum(1)
    back = (p2 * (p1 + PROBABILITY_FLOOR).log()).sum(1)
    return -(forth + back).mean() / 2


def _log_normalizer(dim: int, kappa: float) -> float:
    """log c of the von Mises-Fisher density on the sphere in ``dim`` dimensions."""
    number("kappa", kappa, above=0.0)
    if dim < 2:
        raise ValueError(f"embeddings on a sphere need at least 2 dimensions, got {dim}")
    order = dim / 2 - 1
    return order * math.log(kappa) - dim / 2 * math.log(2 * math.pi) - log_bessel(order, kappa)


def log_bessel(order: float, x: float) -> float:
    r"""Logarithm of the modified Bessel function :math:`I_v(x)` of the first kind, by its power series.

    All terms are positive, so nothing cancels; unlike scipy's ``iv`` it does not underflow for high orders.
    """
    log_term = order * math.log(x / 2) - math.lgamma(order + 1)
    terms, m = [log_term], 0
    while log_term > max(terms) - 40 or m < x:
        m += 1
        log_term += 2 * math.log(x / 2) - math.log(m) - math.log(order + m)
        terms.append(log_term)
    top = max(terms)
    return top + math.log(sum(math.exp(term - top) for term in terms))
