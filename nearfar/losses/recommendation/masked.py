"""Two sides that find each other among those of a batch that are known not to belong together."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, paired, unit_rows


@full_precision
def masked_contrast(a: Tensor, b: Tensor, related: Tensor, *, temperature: float | Tensor) -> Tensor:
    r"""Symmetric InfoNCE within a batch without false negatives: pairs that are ``related`` are no negatives.

    :func:`nearfar.losses.symmetric_info_nce` where row i and column j of the same user, of the same item or of a known
    click are left out of both sums; the positive (i, i) always counts. The matrix is held whole: batches are small
    here.

    Args:
        a, b: (B, D), row i of each belongs together.
        related: (B, B) bool.
        temperature: divides the cosines.

    Raises:
        TypeError: a dtype that is not floating, or ``related`` not boolean.
        ValueError: shapes or a temperature that do not fit.
    """
    a, b = paired(a=a, b=b)
    if not isinstance(related, Tensor) or related.dtype != torch.bool:
        raise TypeError("related must be a boolean tensor")
    if related.shape != (len(a), len(a)):
        raise ValueError(f"related must have shape {(len(a), len(a))}, got {tuple(related.shape)}")
    logits = unit_rows(a, inverse_temperature(temperature, a)) @ unit_rows(b).T
    own = torch.eye(len(a), dtype=torch.bool, device=a.device)
    logits = logits.masked_fill(related & ~own, -torch.inf)
    positive = logits.diagonal()
    return ((logits.logsumexp(1) - positive).mean() + (logits.logsumexp(0) - positive).mean()) / 2
