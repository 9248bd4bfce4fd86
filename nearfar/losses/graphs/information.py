"""ARIEL's regulariser: two views may not resemble each other more than both resemble the original."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, paired, unit_rows


@full_precision
def information_hinge(z1: Tensor, z2: Tensor, original: Tensor, *, temperature: float | Tensor) -> Tensor:
    r"""What two views share must be in the original (ARIEL, arXiv 2202.06491, equation 13).

    .. math::
        \frac{1}{N} \sum_i \max\big(0,\; 2 s_{12} - \mathrm{sg}[s_1] - \mathrm{sg}[s_2]\big), \qquad
        s_{ab} = e^{\cos(a_i, b_i) / \tau}

    with s1, s2 the similarities of either view with the original. As in the released code they are held constant, so
    that the original gets no gradient and the views theirs from :math:`s_{12}` alone.

    Args:
        z1, z2: (N, D), two views.
        original: (N, D), the same nodes unchanged.
        temperature: divides the similarities.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or a temperature that do not fit.
    """
    z1, z2, original = paired(z1=z1, z2=z2, original=original)
    scale = inverse_temperature(temperature, z1)
    y1, y2, y = unit_rows(z1), unit_rows(z2), unit_rows(original.detach())

    def similar(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp((a * b).sum(1) * scale)

    return (2 * similar(y1, y2) - similar(y1, y).detach() - similar(y2, y).detach()).clamp_min(0).mean()
