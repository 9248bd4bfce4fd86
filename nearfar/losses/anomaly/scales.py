"""Agreement of two distributions over the parts of a row: SLAD."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, paired, reduce_rows


@full_precision
def scale_alignment(
    predicted: Tensor, target: Tensor, *, divergence: str = "release", reduction: str = "mean"
) -> Tensor:
    r"""How far the predicted sizes of a row's parts are from their sizes, both as distributions over the parts.

    With P and T the softmax of a row's predictions and targets and :math:`M = (P + T) / 2`,

    .. math:: \ell = KL(M \,\|\, \sigma(P)) + KL(M \,\|\, \sigma(T))

    where :math:`\sigma` is a second softmax that the paper does not have (xuhongzuo/scale-learning,
    ``algorithms/slad.py``), so that it is not 0 where P is T; that is ``"release"``. ``"js"`` is the paper's
    Jensen-Shannon divergence :math:`(KL(P \,\|\, M) + KL(T \,\|\, M)) / 2` (arXiv 2305.16114, equation 4).

    Args:
        predicted: (B, c), the sizes that a network reads off the parts of each row.
        target: (B, c), the sizes.
        divergence: ``"release"`` or ``"js"``.
        reduction: ``"mean"``, or ``"none"`` for the (B,) losses, which are the anomaly scores.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that differ, unknown ``divergence``.
    """
    predicted, target = paired(predicted=predicted, target=target)
    choice("divergence", divergence, ("release", "js"))
    log_p, log_t = predicted.log_softmax(1), target.log_softmax(1)
    p, t = log_p.exp(), log_t.exp()
    middle = (p + t) / 2
    if divergence == "release":
        rows = torch.xlogy(middle, middle).mul(2) - middle * (p.log_softmax(1) + t.log_softmax(1))
    else:
        log_m = torch.logaddexp(log_p, log_t) - torch.log(torch.tensor(2.0, dtype=log_p.dtype))
        rows = (p * (log_p - log_m) + t * (log_t - log_m)) / 2
    return reduce_rows(rows.sum(1), reduction)
