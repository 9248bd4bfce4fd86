"""Positives only: predict the other view's projection (BYOL, SimSiam)."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses._checks import full_precision, paired, unit_rows

SQUARED_NORM_FLOOR = 1e-12


@full_precision
def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    r"""``-mean_i cos(p_i, sg[z_i])``, half of SimSiam's loss (arXiv 2011.10566, ``simsiam/builder.py``).

    SimSiam's loss is ``(negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2``. ``z`` is detached inside:
    without the stop-gradient the solution collapses.

    Departure: a row shorter than 1e-12 is divided by 1e-12; the ``CosineSimilarity`` of the released code takes 1e-8,
    so that tiny rows count for less there.

    Args:
        p: (N, D), predictor output of one view.
        z: (N, D), projection of the other view.

    Returns:
        A scalar in [-1, 1]; a zero row counts as cosine 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or devices that do not fit.
    """
    p, z = paired(p=p, z=z)
    return -(unit_rows(p) * unit_rows(z.detach())).sum(1).mean()


@full_precision
def byol_regression(p1: Tensor, p2: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
    r"""BYOL's loss (arXiv 2006.07733, equation 2; deepmind-research, ``byol/utils/helpers.py``).

    .. math::
        L = \operatorname{mean}_i \Big( \big\| \bar p_{1i} - \bar t_{2i} \big\|^2
            + \big\| \bar p_{2i} - \bar t_{1i} \big\|^2 \Big), \qquad \bar x = x / \|x\| .

    The sum of both directions, without a half, so each direction is ``2 - 2 cos``. As in the released code
    the *sum of squares* is floored at 1e-12: a zero row gives 1 and a gradient of order 1e6. Targets are
    detached inside.

    Args:
        p1: (N, D), online prediction from view 1.
        p2: (N, D), online prediction from view 2.
        t1: (N, D), target projection of view 1.
        t2: (N, D), target projection of view 2.

    Returns:
        A scalar in [0, 8].

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or devices that do not fit.
    """
    p1, p2, t1, t2 = paired(p1=p1, p2=p2, t1=t1, t2=t2)
    return (_squared_distance(p1, t2.detach()) + _squared_distance(p2, t1.detach())).mean()


def _squared_distance(x: Tensor, y: Tensor) -> Tensor:
    return (_floored_unit_rows(x) - _floored_unit_rows(y)).square().sum(1)


def _floored_unit_rows(x: Tensor) -> Tensor:
    return x * x.square().sum(1, keepdim=True).clamp_min(SQUARED_NORM_FLOOR).rsqrt()
