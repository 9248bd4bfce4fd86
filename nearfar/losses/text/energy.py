"""A hinge against the nearest wrong sentence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import full_precision, number, paired, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks


@full_precision
def energy_hinge(anchors: Tensor, positives: Tensor, negatives: Tensor | None = None, *, margin: float = 0.2) -> Tensor:
    r"""The energy-based hinge loss (Jiang, Zhang and Wang 2022, arXiv 2203.06875; released ``promcse/models.py``).

    .. math::
        L = \operatorname{mean}_i \Big[ m - \cos(a_i, p_i)
            + \max\big( \max_{j \ne i} \cos(a_i, p_j), \max_j \cos(a_i, n_j) \big) \Big]_+

    Cosines are not divided by a temperature. Only the nearest wrong sentence of the batch has a gradient, and none
    where the right one is nearer by the margin.

    Args:
        anchors: (N, D).
        positives: (N, D), row i the right one of anchor i.
        negatives: (N, D) contradictions; all of them are wrong for every anchor.
        margin: by how much the right cosine is to be above the largest wrong one, in [0, 2].

    Returns:
        A scalar in [0, 2 + margin].

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes, devices or a margin that do not fit, or one pair without a negative.
    """
    given = {"anchors": anchors, "positives": positives}
    if negatives is not None:
        given["negatives"] = negatives
    a, p, *n = (unit_rows(x) for x in paired(**given))
    if len(a) == 1 and not n:
        raise ValueError("energy_hinge needs a wrong sentence: at least two pairs, or negatives")
    number("margin", margin, at_least=0.0)

    def nearest_wrong(rows: Tensor, others: Tensor, start: int) -> Tensor:
        own = torch.arange(start, start + len(rows), device=rows.device).unsqueeze(1)
        return (rows @ others.t()).scatter(1, own, -torch.inf).amax(1)

    wrong = in_row_blocks(nearest_wrong, a, torch.cat([p, *n]))
    return F.relu(margin - (a * p).sum(1) + wrong).mean()
