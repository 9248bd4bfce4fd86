"""NT-Xent whose positives must win by a margin."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import (
    choice,
    full_precision,
    inverse_temperature,
    number,
    paired,
    reduce_rows,
    unit_rows,
)
from nearfar.losses.engine.logsumexp import cross_logsumexp, self_logsumexp
from nearfar.losses.engine.tiles import LOG2E, exponents_are_bounded

Margin = Literal["none", "am", "aam"]

# Below, the sine of an angle of 0 would have an infinite derivative.
LEAST_SINE = 1e-6


@full_precision
def margin_nt_xent(
    z1: Tensor,
    z2: Tensor,
    *,
    temperature: float | Tensor = 0.03,
    margin: float = 0.1,
    kind: Margin = "am",
    symmetric: bool = True,
    reduction: str = "mean",
) -> Tensor:
    r"""NT-Xent with a margin on the cosine of the positive alone (arXiv 2306.03664, equations 2 to 5).

    .. math::
        \ell_i = -\log \frac{e^{f(c_{i t(i)}) / \tau}}
            {e^{f(c_{i t(i)}) / \tau} + \sum_{j \ne i, t(i)} e^{c_{ij} / \tau}}

    over both views of everything, :math:`c` cosines, averaged over all 2N rows. Of ``kind``

    - ``none``: :math:`f(x) = x`, which is :func:`nt_xent`;
    - ``am`` (CosFace): :math:`x - m`;
    - ``aam`` (ArcFace): :math:`\cos(\arccos x + m)` while the angle stays below :math:`\pi`, and
      :math:`x - m \sin m` beyond, so that it never rises.

    ``symmetric=False`` has the first view look for the second among the second views alone, as the usual loss of
    self-supervised speaker verification does. The values are those of theolepage/sslsv
    (``SimCLRMarginsLoss.py``). A margin bounds how near positives come to count as found; with few negatives, or
    positives that differ much, it can hurt.

    Memory grows linearly with the rows.

    Args:
        z1: (N, D), first view.
        z2: (N, D), row i another view of what row i of ``z1`` shows.
        temperature: a positive float or a 0-d tensor; 0.03 in the paper, the inverse of its scale.
        margin: m, at least 0; for ``aam`` an angle below pi.
        kind: of the margin.
        symmetric: whether both views look for each other, among all rows of both.
        reduction: ``"mean"``, or ``"none"`` for the losses of rows: (2N,) or, not symmetric, (N,).

    Returns:
        A scalar or the losses of rows, at least 0; one pair alone has no negatives and gives 0.

    Raises:
        TypeError: a dtype that is not floating. ValueError: shapes, devices, a temperature, a margin or a kind that do
            not fit.
    """
    given = z1, z2
    z1, z2 = paired(z1=z1, z2=z2)
    choice("kind", kind, get_args(Margin))
    number("margin", margin, at_least=0.0)
    if kind == "aam" and margin >= math.pi:
        raise ValueError(f"margin is an angle below pi for kind 'aam', got {margin}")
    scale = inverse_temperature(temperature, z1)
    bounded = exponents_are_bounded(scale, True)
    u1, u2 = unit_rows(z1), unit_rows(z2)
    positive = _with_margin((u1 * u2).sum(1), margin, kind) * scale
    root = (scale * LOG2E) ** 0.5
    if not symmetric:
        lse, _ = cross_logsumexp(u1 * root, u2 * root, skip_diagonal=True, columns=False, bounded=bounded, given=given)
        return reduce_rows(-F.logsigmoid(positive - lse), reduction)
    lse = self_logsumexp(torch.cat((u1, u2)) * root, views=2, bounded=bounded, given=given)
    return reduce_rows(-F.logsigmoid(positive.repeat(2) - lse), reduction)


def _with_margin(cosine: Tensor, margin: float, kind: str) -> Tensor:
    if kind == "none" or margin == 0:
        return cosine
    if kind == "am":
        return cosine - margin
    sine = (1 - cosine.square()).clamp_min(LEAST_SINE**2).sqrt()
    turned = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), turned, cosine - margin * math.sin(margin))
