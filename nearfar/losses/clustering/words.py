"""Prediction of a bag of visual words."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, paired


@full_precision
def bag_divergence(logits: Tensor, bags: Tensor) -> Tensor:
    r"""How far the predicted words of an image are from those it has (OBoW, arXiv 2012.11552, equation 1).

    .. math::
        L = \operatorname{mean}_i \sum_k b_{ik} \big(\log b_{ik} - \log \operatorname{softmax}_k(l_i)\big)

    The paper writes the cross-entropy; the released code (``builder_obow.py``) this divergence, which has the same
    gradient and is 0 for a perfect prediction. Bags are held fixed. Where images get one word and words must stay
    in equal use, take :func:`nearfar.losses.swapped_prediction`.

    Args:
        logits: (N, K), a score for each of K words.
        bags: (N, K), at least 0, rows summing to 1; from :class:`nearfar.parts.VisualWords`.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or devices that do not fit.
    """
    logits, bags = paired(logits=logits, bags=bags)
    bags = bags.detach()
    return (torch.xlogy(bags, bags) - bags * torch.log_softmax(logits, dim=1)).sum(1).mean()
