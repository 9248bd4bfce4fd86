"""InfoNCE with a learned product: CURL."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses._checks import floating, full_precision, number
from nearfar.losses.contrast.infonce import info_nce


@full_precision
def bilinear_info_nce(queries: Tensor, keys: Tensor, weight: Tensor, *, logit_scale: float = 1.0) -> Tensor:
    r"""Row i of ``queries`` finds row i of ``keys`` by :math:`q^\top W k`, without norms or temperature.

    CURL (arXiv 2004.04136, ``curl_sac.py``); its form for Atari multiplies the logits by 0.1. The greatest logit that
    the release takes off each row changes neither value nor gradient. No gradient reaches the keys.

    Args:
        queries: (B, D).
        keys: (B, D), of the slow encoder.
        weight: (D, D).
        logit_scale: multiplies the logits, above 0.
    """
    queries, keys, weight = floating(queries=queries, keys=keys, weight=weight)
    if weight.ndim != 2 or weight.shape != (queries.shape[-1], keys.shape[-1]):
        raise ValueError(f"weight must be ({queries.shape[-1]}, {keys.shape[-1]}), got {tuple(weight.shape)}")
    number("logit_scale", logit_scale, above=0.0)
    return info_nce(queries @ weight, keys.detach(), temperature=1 / logit_scale, normalize=False)
