"""Lists in an order that is given."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, whole_numbers

# Added to what the softmax of each place is divided by, relative to a row's largest score (released code).
EPS = 1e-7


@full_precision
def list_mle(scores: Tensor, targets: Tensor, valid: Tensor | None = None, *, order: Tensor | None = None) -> Tensor:
    r"""The likelihood of a list's order under its scores (Xia et al. 2008, ICML).

    With the entries of a row sorted by falling target,

    .. math::
        L = \operatorname{mean}_{\text{rows}} \sum_j \Big[
            \log \Big( \sum_{k \ge j} e^{s_k - \max s} + 10^{-7} \Big) - (s_j - \max s) \Big]

    The 1e-7 is that of the released code for ranked sentences (hly1998/RankingSentenceGeneration): it matters at low
    temperatures, where scores far below the largest are pulled up towards it. No gradient reaches the targets.

    Args:
        scores: (N, n).
        targets: (N, n), larger for what comes first.
        valid: (N, n) booleans: entries that take part; every row has one. All when not given.
        order: (n,) a permutation. Entries of equal targets come in this order, and in that of the columns when it is
            not given; draw it anew in every step where there are many.

    Returns:
        A scalar, at least 0 but for the 1e-7.

    Raises:
        TypeError: dtypes that do not fit. ValueError: shapes or devices that do not fit, or an order that is none.
    """
    s, t = floating(scores=scores, targets=targets)
    if s.ndim != 2 or s.shape != t.shape or s.numel() == 0:
        raise ValueError(f"scores and targets are (N, n), got {tuple(s.shape)} and {tuple(t.shape)}")
    t = t.detach()
    kept = torch.ones_like(t, dtype=torch.bool)
    if valid is not None:
        kept = boolean("valid", valid, tuple(s.shape), s, "scores").bool()
        if not bool(kept.any(1).all()):
            raise ValueError("valid leaves a row without an entry")
    if order is not None:
        order = whole_numbers("order", order, (s.shape[1],), at_least=0)
        if not torch.equal(order.sort().values, torch.arange(s.shape[1], device=order.device)):
            raise ValueError(f"order must be a permutation of {s.shape[1]} columns")
        s, t, kept = s[:, order], t[:, order], kept[:, order]
    first = t.masked_fill(~kept, -torch.inf).argsort(dim=1, descending=True, stable=True)
    kept = kept.gather(1, first)
    s = s.gather(1, first)
    s = s - s.masked_fill(~kept, -torch.inf).max(1, keepdim=True).values
    rest = s.exp().masked_fill(~kept, 0.0).flip(1).cumsum(1).flip(1)
    return ((rest + EPS).log() - s).masked_fill(~kept, 0.0).sum(1).mean()
