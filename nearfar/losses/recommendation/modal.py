"""REARM's losses: what two kinds of features share, and what each has alone."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, paired
from nearfar.losses.contrast.infonce import info_nce


def modal_contrast(a: Tensor, b: Tensor, index: Tensor, *, temperature: float | Tensor) -> Tensor:
    """Nodes of a batch find themselves in the other kind of features, each node once (REARM, equation 15).

    :func:`nearfar.losses.info_nce` in one direction of the different rows of ``index``, ``a`` asking.

    Args:
        a, b: (N, D), two kinds of features of all nodes.
        index: (B,) rows of the batch, repetitions allowed.
        temperature: 0.6 on Baby, 1.5 on Sports, 0.03 on Clothing.
    """
    if not isinstance(index, Tensor) or index.is_floating_point():
        raise TypeError("index must be a tensor of whole numbers, the rows of the batch")
    a, b = paired(a=a, b=b)
    if index.ndim != 1 or not len(index) or int(index.min()) < 0 or int(index.max()) >= len(a):
        raise ValueError(f"index must name rows of {len(a)}, as (B,), got shape {tuple(index.shape)}")
    rows = torch.unique(index)
    return info_nce(a[rows], b[rows], temperature=temperature)


@full_precision
def modal_orthogonality(a: Tensor, b: Tensor) -> Tensor:
    r"""The mean square of the correlations between the columns of two kinds of features (REARM, equation 17).

    .. math::
        \frac{1}{D^2} \sum_{kl} \Big(\sum_i \bar a_{ik} \bar b_{il}\Big)^2

    with rows centred over the batch and divided by their length, which is held constant. As in the released code the
    sum over rows is not divided by their number, so the value grows with the batch.

    Args:
        a, b: (B, D), the same nodes; repetitions count.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that do not fit.
    """
    a, b = paired(a=a, b=b)
    return (_centred(a).T @ _centred(b)).square().mean()


def _centred(x: Tensor) -> Tensor:
    x = x - x.mean(0)
    return x / (torch.linalg.vector_norm(x.detach(), dim=1, keepdim=True) + 1e-6)
