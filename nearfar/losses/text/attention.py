"""How much the attention of two views of a sentence has in common."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, full_precision

# Of 1 - rho^2, so that views of equal attention have finite mutual information, 6.9.
LEAST_RESIDUAL = 1e-6


@full_precision
def attention_mutual_information(
    first: Tensor, second: Tensor, *, samples: int = 150, groups: int = 2, keys: Tensor | None = None
) -> Tensor:
    r"""Mutual information of the attention maps of two views (Klein and Nabi 2023, arXiv 2211.04928).

    A row is a sentence, a head and a group of layers (every ``groups``-th layer). Of the entries that are above 0 in
    both views, ``samples`` are drawn, the same in both, and

    .. math::
        \hat I = -\tfrac12 \log (1 - \rho^2), \qquad
        \text{value} = (c^2 + 10^{-6}) \operatorname{mean}_{\text{rows}} \hat I

    with :math:`\rho` the correlation of their logarithms (attention taken as log-normal) and :math:`c` the share of
    entries that are above 0 in both views, a constant. Rows with fewer such entries than ``samples`` are left out;
    where none has enough, all stay, with as many entries as the poorest has. The number of samples, the groups and
    :math:`c` are those of the released ``model/models.py``; the paper does not name them. A training loss subtracts
    the value.

    On purpose, :math:`1 - \rho^2` is at least 1e-6, where the release puts the constant 100 for what is not finite: two
    equal views, as without dropout, give 6.9 and no gradient.

    Args:
        first: (B, L, H, T, T), attention probabilities of one view, after dropout; 0 where something is hidden.
        second: the same of the other view.
        samples: entries drawn of each row, at least 1.
        groups: number of groups of layers, a divisor of L.
        keys: (B, H, groups, L / groups * T * T) numbers above 0: of the entries that are possible those with the
            largest are drawn. Uniform ones from torch's global generator when not given.

    Returns:
        A scalar, at least 0; 0 where some row has no entry to draw and none has enough.

    Raises:
        TypeError: a dtype that is not floating. ValueError: shapes or numbers that do not fit.
    """
    a, b = floating(first=first, second=second)
    if a.ndim != 5 or a.shape != b.shape or a.numel() == 0:
        raise ValueError(f"attention of two views is (B, L, H, T, T) twice, got {tuple(a.shape)} and {tuple(b.shape)}")
    if samples < 1 or groups < 1 or a.shape[1] % groups:
        raise ValueError(
            f"samples must be at least 1 and groups divide {a.shape[1]} layers, got {samples} and {groups}"
        )
    a, b = _rows(a, groups), _rows(b, groups)
    joint = (a > 0) & (b > 0)
    counts = joint.sum(1)
    enough = counts >= samples
    count = samples
    if bool(enough.any()):
        a, b, joint = a[enough], b[enough], joint[enough]
    else:
        count, enough = int(counts.min()), torch.ones_like(enough)
    if count == 0:
        return (a.sum() + b.sum()) * 0
    drawn = torch.rand(enough.shape[0], a.shape[1], device=a.device) if keys is None else keys.reshape(len(enough), -1)
    if drawn.shape[1] != a.shape[1]:
        raise ValueError(f"keys must have a number for each of {a.shape[1]} entries of a row, got {drawn.shape[1]}")
    chosen = drawn[enough].masked_fill(~joint, -1.0).topk(count, 1).indices
    x, y = (attention.gather(1, chosen).log() for attention in (a, b))
    rho = F.cosine_similarity(x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True), dim=1, eps=1e-6)
    information = -(1 - rho.square()).clamp_min(LEAST_RESIDUAL).log() / 2
    return information.mean() * (joint.to(a.dtype).mean().square() + 1e-6)


def _rows(attention: Tensor, groups: int) -> Tensor:
    """(B, L, H, T, T) to (B * H * groups, L / groups * T * T)."""
    b, layers, heads, t, _ = attention.shape
    split = attention.reshape(b, layers // groups, groups, heads, t, t)
    return split.permute(0, 3, 2, 1, 4, 5).reshape(b * heads * groups, -1)
