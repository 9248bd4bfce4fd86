"""Patches and whole frames of consecutive steps: ST-DIM."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating, full_precision


@full_precision
def st_dim(whole: Tensor, local: Tensor, before: Tensor) -> dict[str, Tensor]:
    r"""At each place of a map, a frame finds the patch of the step before among those of the batch.

    .. math::
        L = \frac1M \sum_m \Big[ \mathrm{CE}\big( q_i \cdot p_{jm} \big)
            + \mathrm{CE}\big( l_{im} \cdot p_{jm} \big) \Big]

    with :math:`q` predicted from the whole frame, :math:`l` from its patch at the same place, :math:`p` the patches of
    the step before, and cross entropy over j with target i: the global-local and the local-local part of ST-DIM (arXiv
    1906.08226, ``atariari/methods/stdim.py``). No norms, no temperature, one direction; gradients reach both frames.

    Args:
        whole: (B, C), what is predicted from each whole frame.
        local: (B, H, W, C), what is predicted from its patches.
        before: (B, H, W, C), the patches of the step before.

    Returns:
        ``{"global_local": scalar, "local_local": scalar}``, both at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that do not fit.
    """
    whole, local, before = floating(whole=whole, local=local, before=before)
    if local.ndim != 4 or local.shape != before.shape or whole.shape != (local.shape[0], local.shape[3]):
        raise ValueError(
            f"local and before must be (B, H, W, C) and whole (B, C), got {tuple(local.shape)}, "
            f"{tuple(before.shape)} and {tuple(whole.shape)}"
        )
    size = len(whole)
    past = before.reshape(size, -1, before.shape[-1]).transpose(0, 1)  # (M, B, C)
    now = local.reshape(size, -1, local.shape[-1]).transpose(0, 1)

    def found(scores: Tensor) -> Tensor:
        return (scores.logsumexp(2) - scores.diagonal(dim1=1, dim2=2)).mean()

    return {
        "global_local": found(torch.einsum("bc,mjc->mbj", whole, past)),
        "local_local": found(now @ past.transpose(1, 2)),
    }
