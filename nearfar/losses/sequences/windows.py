"""Windows of one series: which follows, which is near."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import full_precision, number, paired, reduce_rows, tracks

__all__ = ["cpc_windows", "tnc"]


@full_precision
def cpc_windows(predicted: Tensor, following: Tensor, others: Tensor, *, reduction: str = "mean") -> Tensor:
    r"""The window that follows, picked out among others of its series by what was predicted of it.

    .. math:: \ell_i = -\log \frac{e^{p_i \cdot z_i}}{e^{p_i \cdot z_i} + \sum_k e^{p_i \cdot z'_{ik}}}

    with p a linear map of the context, as in TNC's released form of CPC (arXiv 1807.03748;
    sanatonek/TNC_representation_learning, ``baselines/cpc.py``). Dot products as they are. Negatives that all rows
    share are :func:`nearfar.losses.info_nce` with ``normalize=False``.

    Args:
        predicted: (B, D), what the context says of the next window.
        following: (B, D), codes of the windows that follow.
        others: (B, K, D), codes of other windows of the same series.
        reduction: ``"mean"``, or ``"none"`` for the (B,) losses.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that do not fit.
    """
    predicted, following = paired(predicted=predicted, following=following)
    (others,) = tracks(others=others)
    if (others.shape[0], others.shape[2]) != tuple(predicted.shape):
        raise ValueError(
            f"others must have shape (B, K, D) with B, D = {tuple(predicted.shape)}, got {tuple(others.shape)}"
        )
    others = others.to(predicted.dtype)
    positive = (predicted * following).sum(1)
    negative = torch.einsum("bd,bkd->bk", predicted, others).logsumexp(1)
    return reduce_rows(-F.logsigmoid(positive - negative), reduction)


@full_precision
def tnc(near: Tensor, far: Tensor, *, weight: float = 0.05) -> Tensor:
    r"""Windows near in time belong together; far ones are unlabelled, and belong with probability w.

    .. math:: L = \tfrac{1}{2} \big[ B(d^{near}, 1) + w\, B(d^{far}, 1) + (1 - w)\, B(d^{far}, 0) \big]

    with B the mean binary cross-entropy of a discriminator's logits: TNC (arXiv 2106.00750, equation 2;
    sanatonek/TNC_representation_learning, ``tnc/tnc.py``). The release fails where near and far windows are not of one
    number; here each part is its own mean.

    Args:
        near: (N,) logits of pairs with a window of the neighbourhood.
        far: (M,) logits of pairs with a distant window.
        weight: w, in [0, 1].

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: no logits, or ``weight`` out of range.
    """
    near, far = (t[:, 0] for t in (_column("near", near), _column("far", far)))
    if not 0 <= number("weight", weight) <= 1:
        raise ValueError(f"weight must lie in [0, 1], got {weight}")
    return (F.softplus(-near).mean() + weight * F.softplus(-far).mean() + (1 - weight) * F.softplus(far).mean()) / 2


def _column(name: str, logits: Tensor) -> Tensor:
    if not isinstance(logits, Tensor) or logits.ndim != 1:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"{name} must be logits of shape (N,), got {got}")
    return paired(**{name: logits[:, None]})[0]
