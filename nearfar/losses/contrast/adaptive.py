"""A temperature for every pair, learned (AMCL), and its losses of temperatures that are given."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, floating, full_precision, number, paired, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks

NEGATIVES = ("max", "logsumexp")
Negatives = Literal["max", "logsumexp"]
CANDIDATES = ("negatives", "all")
Candidates = Literal["negatives", "all"]


@full_precision
def amcl(
    z1: Tensor,
    z2: Tensor,
    scores1: Tensor,
    scores2: Tensor,
    *,
    low: float,
    high: float,
    beta: float = 0.1,
    negatives: Negatives = "max",
) -> dict[str, Tensor]:
    r"""One head of adaptive multi-head contrastive learning (arXiv 2310.05615, table 2, first row), as two named terms.

    Every pair has a temperature of its own, :math:`\tau_{ij} = l + (u - l) \, \sigma(\phi_i \cdot \phi_j)`, and its
    price, :math:`\Omega(\tau) = \tfrac{D}{2} \log \tau + 1 / \tau`. Over the 2 N views of a batch, z of
    length 1,

    .. math::
        L = \operatorname{mean}_i \Big( - \frac{z_i \cdot z_i^+}{\tau_i^+} + \frac{z_i \cdot z_{n^*}}{\tau_{i n^*}}
            + \beta \Omega(\tau_i^+) - \beta \Omega(\tau_{i n^*}) \Big), \qquad n^* = \arg\max_n z_i \cdot z_n ,

    with n running over all views of other images. ``negatives="logsumexp"`` has the softmax that the maximum replaces:
    the positive against all negatives, and the prices of these weighted as the softmax does; with ``low == high`` that
    is :func:`nt_xent` and a constant.

    Omega is least at :math:`\tau = 2 / D` and its sign is minus for negatives, so temperatures run to their bounds:
    the loss is at most about 1 / ``low``, and the released code's 1e-5 makes it explode. Memory is linear in N.

    The released code (LeiWangR/cl) leaves negatives out and divides every similarity by every temperature; this
    follows the paper's table.

    Args:
        z1: (N, D), first view, N at least 2.
        z2: (N, D), second view.
        scores1: (N, F), phi of the first view.
        scores2: (N, F), phi of the second view.
        low: least temperature, above 0.
        high: greatest temperature, at least ``low``.
        beta: weight of Omega, at least 0.
        negatives: ``"max"`` or ``"logsumexp"``.

    Returns:
        ``{"contrast": scalar, "temperature": scalar}``, the second already times ``beta``.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: one image, bounds that are not in order, or shapes, devices or numbers that do not fit.
    """
    z1, z2 = paired(z1=z1, z2=z2)
    scores1, scores2 = (scores.to(z1.dtype) for scores in paired(scores1=scores1, scores2=scores2))
    n, d = z1.shape
    if len(scores1) != n or n < 2:
        raise ValueError(f"amcl needs at least 2 images and a row of scores for each, got {n} and {len(scores1)}")
    number("low", low, above=0.0)
    number("high", high, at_least=low)
    number("beta", beta, at_least=0.0)
    choice("negatives", negatives, NEGATIVES)

    def temperature(score: Tensor) -> Tensor:
        return low + (high - low) * torch.sigmoid(score)

    def against(rows: Tensor, others: Tensor, start: int) -> Tensor:
        """(rows, 2): the negatives' part of the contrast, and their price."""
        cosine = rows[:, :d] @ others[:, :d].t()
        tau = temperature(rows[:, d:] @ others[:, d:].t())
        column = torch.arange(start, start + len(rows), device=rows.device).unsqueeze(1)
        same = torch.cat([column, (column + n) % (2 * n)], 1)
        if negatives == "max":
            hardest = cosine.detach().scatter(1, same, -torch.inf).argmax(1, keepdim=True)
            chosen = tau.gather(1, hardest)
            return torch.cat([cosine.gather(1, hardest) / chosen, _price(chosen, d)], 1)
        logits = (cosine / tau).scatter(1, same, -torch.inf)
        shares = torch.softmax(logits.detach(), 1)
        return torch.stack([torch.logsumexp(logits, 1), (shares * _price(tau, d)).sum(1)], 1)

    z, scores = torch.cat([unit_rows(z1), unit_rows(z2)]), torch.cat([scores1, scores2])
    tau = temperature((scores1 * scores2).sum(1)).repeat(2)
    positive = (z[:n] * z[n:]).sum(1).repeat(2) / tau
    joined = torch.cat([z, scores], 1)
    negative, negative_price = in_row_blocks(against, joined, joined).unbind(1)
    contrast = negative - positive if negatives == "max" else -F.logsigmoid(positive - negative)
    return {"contrast": contrast.mean(), "temperature": beta * (_price(tau, d) - negative_price).mean()}


@full_precision
def tempered_contrast(
    z: Tensor,
    positive: Tensor,
    negatives: Tensor,
    positive_temperature: Tensor,
    negative_temperature: Tensor,
    *,
    beta: float = 0.1,
    candidates: Candidates = "negatives",
) -> Tensor:
    r"""One head of AMCL's contrast (arXiv 2310.05615, table 2), with every pair's temperature given.

    .. math::
        L = \operatorname{mean}_i \Big( - \frac{\cos(z_i, z_i^+)}{\tau_i^+} + \frac{\cos(z_i, z_{n^*})}{\tau_{i n^*}}
            + \beta \Omega(\tau_i^+) - \beta \Omega(\tau_{i n^*}) \Big), \qquad
            \Omega(\tau) = \tfrac{D}{2} \log \tau + \tfrac{1}{\tau},

    n* the nearest negative. With ``candidates="all"``, the table's row for InfoNCE, the positive takes part in the
    maximum, and a row whose positive is nearest costs nothing. :func:`amcl` learns the temperatures from the pairs, and
    is what to train with.

    Args:
        z: (N, D), of any length.
        positive: (N, D), row i the positive of row i.
        negatives: (N, M, D), each row's own.
        positive_temperature: (N,), above 0.
        negative_temperature: (N, M), above 0.
        beta: weight of Omega, at least 0.
        candidates: the maximum runs over ``"negatives"`` or ``"all"``.

    Returns:
        A scalar.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes, devices, temperatures or numbers that do not fit.
    """
    z, positive = paired(z=z, positive=positive)
    (n, d), m = z.shape, negatives.shape[1] if negatives.ndim == 3 else 0
    if m < 1 or negatives.shape != (n, m, d):
        raise ValueError(f"negatives must have shape ({n}, M, {d}) with M at least 1, got {tuple(negatives.shape)}")
    _, near, far = floating(z=z, positive_temperature=positive_temperature, negative_temperature=negative_temperature)
    _temperatures("positive_temperature", near, (n,))
    _temperatures("negative_temperature", far, (n, m))
    number("beta", beta, at_least=0.0)
    choice("candidates", candidates, CANDIDATES)
    z = unit_rows(z)
    likeness = (z * unit_rows(positive)).sum(1)
    others = torch.einsum("nd,nmd->nm", z, unit_rows(negatives.to(z.dtype).flatten(0, 1)).unflatten(0, (n, m)))
    if candidates == "all":
        others, far = torch.cat([likeness.unsqueeze(1), others], 1), torch.cat([near.unsqueeze(1), far], 1)
    nearest = others.detach().argmax(1, keepdim=True)
    other, tau = others.gather(1, nearest).squeeze(1), far.gather(1, nearest).squeeze(1)
    return (other / tau - likeness / near + beta * (_price(near, d) - _price(tau, d))).mean()


@full_precision
def tempered_regression(
    z1: Tensor,
    z2: Tensor,
    h1: Tensor,
    h2: Tensor,
    temperature1: Tensor,
    temperature2: Tensor,
    *,
    beta: float = 0.1,
) -> Tensor:
    r"""One head of AMCL on SimSiam (arXiv 2310.05615, table 2), with every pair's temperature given.

    .. math::
        L = \operatorname{mean}_i \Big( - \frac{\cos(z_i, \operatorname{sg} h_i^+)}{2 \tau_i}
            - \frac{\cos(z_i^+, \operatorname{sg} h_i)}{2 \tau_i^+}
            + \beta \Omega(\tau_i) + \beta \Omega(\tau_i^+) \Big)

    with Omega as in :func:`tempered_contrast`, and no gradient into h.

    Args:
        z1: (N, D), what is predicted from the first view.
        z2: (N, D), and from the second.
        h1: (N, D), what the first view is.
        h2: (N, D), and the second.
        temperature1: (N,), of ``z1`` with ``h2``, above 0.
        temperature2: (N,), of ``z2`` with ``h1``, above 0.
        beta: weight of Omega, at least 0.

    Returns:
        A scalar.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes, devices, temperatures or numbers that do not fit.
    """
    z1, z2, h1, h2 = paired(z1=z1, z2=z2, h1=h1, h2=h2)
    n, d = z1.shape
    number("beta", beta, at_least=0.0)
    _, *given = floating(z1=z1, temperature1=temperature1, temperature2=temperature2)
    loss = z1.new_zeros(())
    for place, (z, h, tau) in enumerate(zip((z1, z2), (h2, h1), given, strict=True), start=1):
        _temperatures(f"temperature{place}", tau, (n,))
        likeness = (unit_rows(z) * unit_rows(h.detach())).sum(1)
        loss = loss + (beta * _price(tau, d) - likeness / (2 * tau)).mean()
    return loss


@full_precision
def tempered_correlation(correlation: Tensor, temperature: Tensor, *, lambd: float, beta: float = 0.1) -> Tensor:
    r"""One head of AMCL on Barlow Twins (arXiv 2310.05615, table 2), with a temperature for every correlation.

    .. math::
        L = \sum_l \Big(1 - \frac{C_{ll}}{\tau_{ll}}\Big)^2 + \lambda \sum_{l \ne m} \frac{C_{lm}^2}{\tau_{lm}}
            + \beta \sum_l \Omega(\tau_{ll}) - \beta \sum_{l \ne m} \Omega(\tau_{lm})

    with Omega as in :func:`tempered_contrast`.

    Args:
        correlation: (D, D), of one view's dimensions with the other's.
        temperature: (D, D), above 0.
        lambd: weight of the redundancy term, at least 0.
        beta: weight of Omega, at least 0.

    Returns:
        A scalar.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes, devices, temperatures or numbers that do not fit.
    """
    correlation, temperature = paired(correlation=correlation, temperature=temperature)
    d = len(correlation)
    if correlation.shape != (d, d):
        raise ValueError(f"correlation must be square, got shape {tuple(correlation.shape)}")
    _temperatures("temperature", temperature, (d, d))
    number("lambd", lambd, at_least=0.0)
    number("beta", beta, at_least=0.0)
    same = torch.eye(d, dtype=torch.bool, device=correlation.device)
    price = _price(temperature, d)
    invariance = (1 - correlation / temperature).square()
    redundancy = lambd * correlation.square() / temperature
    return torch.where(same, invariance + beta * price, redundancy - beta * price).sum()


def _price(tau: Tensor, width: int) -> Tensor:
    """Omega, what a temperature costs."""
    return width / 2 * tau.log() + 1 / tau


def _temperatures(name: str, tau: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tau.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(tau.shape)}")
    if bool((tau <= 0).any()):
        raise ValueError(f"{name} must be above 0, got {float(tau.detach().min())}")
