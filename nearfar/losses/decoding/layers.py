"""The last layer's words against an earlier layer's."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from nearfar.losses._checks import choice, tensors
from nearfar.losses.decoding.branches import js_divergence, midpoint_divergence, plausible, rows


@tensors
def dola(
    final: Tensor,
    premature: Tensor,
    *,
    alpha: float = 0.1,
    divergence: Literal["released", "jsd"] = "released",
) -> tuple[Tensor, Tensor]:
    r"""DoLa: the difference to the earlier layer that differs most (Chuang et al. 2023, arXiv 2309.03883).

    .. math:: \log p_N - \log p_M, \quad M = \arg\max_j D(p_N, p_j), \quad v \in V_\alpha(p_N)

    The released D is :func:`midpoint_divergence`; the paper names the Jensen-Shannon divergence (``jsd``). The release
    averages D over the batch and takes one layer for all rows; here every row takes its own, which is the same for a
    batch of one. With ``alpha=0`` the release subtracts logits instead of log-probabilities, which has the same order.

    Args:
        final: (..., V), logits of the last layer.
        premature: (K, ..., V), of the candidate layers.
        alpha: of :func:`nearfar.losses.plausible`; 0 keeps every word.
        divergence: which D.

    Returns:
        The scores (..., V), and the index of the chosen candidate (...).

    Raises:
        ValueError: shapes that do not fit, no candidate.
    """
    choice("divergence", divergence, ("released", "jsd"))
    if premature.ndim != final.ndim + 1 or premature.shape[0] < 1:
        raise ValueError(
            f"premature must be (K, ..., V) with K at least 1 for final of shape {tuple(final.shape)}, got "
            f"{tuple(premature.shape)}"
        )
    final, _ = rows(final=final, first=premature[0])
    measure = midpoint_divergence if divergence == "released" else js_divergence
    far = measure(final.expand_as(premature), premature)
    chosen = far.argmax(0)
    index = chosen[None, ..., None].expand(1, *premature.shape[1:])
    found = final.log_softmax(-1) - premature.gather(0, index)[0].to(final).log_softmax(-1)
    return (found.masked_fill(~plausible(final, alpha), -math.inf) if alpha else found), chosen
