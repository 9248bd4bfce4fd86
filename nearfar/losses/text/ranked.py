"""Candidates of one source, in the order that an oracle gives them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, number


@full_precision
def ranked_margin(
    similarities: Tensor, oracle: Tensor, valid: Tensor | None = None, *, margin: float = 0.01, tie: float = 0.01
) -> Tensor:
    r"""CoNT's margin that grows with the distance in rank (An et al. 2022, arXiv 2205.14690; ``model/model.py``).

    With a row's candidates sorted by falling oracle :math:`o`, :math:`s` their similarities to the source,

    .. math::
        L = \sum_{i=1}^{n-1} \operatorname{mean}_{(b, a) :\, |o_{b,a} - o_{b,a+i}| > t}
            \big[ m i - (s_{b,a} - s_{b,a+i}) \big]_+

    For each distance i the mean is over the pairs of the whole batch that are not tied, as released; a distance without
    such a pair adds nothing.

    Args:
        similarities: (B, n).
        oracle: (B, n), higher for better candidates, in any order.
        valid: (B, n) booleans: candidates that take part. They are ranked without the others. All when not given.
        margin: for each rank, at least 0.
        tie: oracle values that differ by no more than this ask nothing of each other, at least 0.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: dtypes that do not fit. ValueError: shapes, devices or numbers that do not fit.
    """
    s, o = floating(similarities=similarities, oracle=oracle)
    if s.ndim != 2 or s.shape != o.shape or s.numel() == 0:
        raise ValueError(f"similarities and oracle are (B, n), got {tuple(s.shape)} and {tuple(o.shape)}")
    number("margin", margin, at_least=0.0)
    number("tie", tie, at_least=0.0)
    o = o.detach()
    kept = torch.ones_like(o, dtype=torch.bool)
    if valid is not None:
        kept = boolean("valid", valid, tuple(s.shape), s, "similarities").bool()
    order = o.masked_fill(~kept, -torch.inf).argsort(dim=1, descending=True, stable=True)
    s, o, kept = s.gather(1, order), o.gather(1, order), kept.gather(1, order)
    total = s.new_zeros(())
    for gap in range(1, s.shape[1]):
        counts = (o[:, :-gap] - o[:, gap:] > tie) & kept[:, gap:]
        short = F.relu(margin * gap - (s[:, :-gap] - s[:, gap:]))
        total = total + torch.where(counts, short, 0.0).sum() / counts.sum().clamp_min(1)
    return total
