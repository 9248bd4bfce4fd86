"""GraphCL's contrast between whole graphs, which leaves the positive out of the denominator."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, paired, unit_rows
from nearfar.losses.engine.logsumexp import cross_logsumexp
from nearfar.losses.engine.tiles import LN2, LOG2E, exponents_are_bounded


@full_precision
def graph_contrast(z1: Tensor, z2: Tensor, *, temperature: float | Tensor = 0.2, symmetric: bool = False) -> Tensor:
    r"""A graph of one view among the *other* graphs of the second view (GraphCL, arXiv 2010.13902; SEGA, 2305.04501).

    .. math::
        -\frac{1}{B} \sum_i \Big[ s_{ii} - \log \sum_{j \ne i} e^{s_{ij}} \Big], \qquad
        s_{ij} = \cos(z_{1i}, z_{2j}) / \tau

    as in the released code: the positive is **not** in the sum, negatives are those of the second view alone, and
    only the first view asks unless ``symmetric``. The value can be negative. With the positive in the sum and
    negatives in both views use :func:`nearfar.losses.nt_xent`.

    Args:
        z1: (B, D), B of 2 or more.
        z2: (B, D), row i another view of graph i.
        temperature: 0.2 on TU graphs, 0.1 in transfer.
        symmetric: average with the loss in which the second view asks.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or a temperature that do not fit; a batch of one, which has no negatives.
    """
    z1, z2 = paired(z1=z1, z2=z2)
    if len(z1) < 2:
        raise ValueError("a batch of one graph has no negatives; at least two are needed")
    scale = inverse_temperature(temperature, z1)
    y1, y2 = unit_rows(z1, scale * LOG2E), unit_rows(z2)
    bounded = exponents_are_bounded(scale, normalized=True)
    rows, columns = cross_logsumexp(y1, y2, skip_diagonal=True, columns=symmetric, bounded=bounded)
    others = rows if columns is None else (rows + columns) / 2
    return (others - (y1 * y2).sum(1) * LN2).mean()
