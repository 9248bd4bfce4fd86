"""A temperature for every pair, learned (AMCL)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, number, paired, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks

NEGATIVES = ("max", "logsumexp")
Negatives = Literal["max", "logsumexp"]


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

    def price(tau: Tensor) -> Tensor:
        return d / 2 * tau.log() + 1 / tau

    def against(rows: Tensor, others: Tensor, start: int) -> Tensor:
        """(rows, 2): the negatives' part of the contrast, and their price."""
        cosine = rows[:, :d] @ others[:, :d].t()
        tau = temperature(rows[:, d:] @ others[:, d:].t())
        column = torch.arange(start, start + len(rows), device=rows.device).unsqueeze(1)
        same = torch.cat([column, (column + n) % (2 * n)], 1)
        if negatives == "max":
            hardest = cosine.detach().scatter(1, same, -torch.inf).argmax(1, keepdim=True)
            chosen = tau.gather(1, hardest)
            return torch.cat([cosine.gather(1, hardest) / chosen, price(chosen)], 1)
        logits = (cosine / tau).scatter(1, same, -torch.inf)
        shares = torch.softmax(logits.detach(), 1)
        return torch.stack([torch.logsumexp(logits, 1), (shares * price(tau)).sum(1)], 1)

    z, scores = torch.cat([unit_rows(z1), unit_rows(z2)]), torch.cat([scores1, scores2])
    tau = temperature((scores1 * scores2).sum(1)).repeat(2)
    positive = (z[:n] * z[n:]).sum(1).repeat(2) / tau
    joined = torch.cat([z, scores], 1)
    negative, negative_price = in_row_blocks(against, joined, joined).unbind(1)
    contrast = negative - positive if negatives == "max" else -F.logsigmoid(positive - negative)
    return {"contrast": contrast.mean(), "temperature": beta * (price(tau) - negative_price).mean()}
