"""REARM's networks: attention among the dimensions of two kinds of features, and what the kinds share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureAttention(nn.Module):
    """Attention within each kind of features, then from one kind to the other.

    As released, the dimensions of a feature are a sequence of single numbers. Each attention is followed by a sum with
    its input, one shared layer norm and one shared PReLU.

    Args:
        dim: D.
        within, between: dropout of the two attentions, in [0, 1).

    Shape: (N, D), (N, D) to the same.
    """

    def __init__(self, dim: int, within: float = 0.4, between: float = 0.6) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(1, 1, dropout=within, batch_first=True)
        self.other = nn.MultiheadAttention(1, 1, dropout=between, batch_first=True)
        self.norm, self.slope = nn.LayerNorm(dim), nn.PReLU()

    def forward(self, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        v, t = self._after(self.own, v, v), self._after(self.own, t, t)
        return self._after(self.other, t, v), self._after(self.other, v, t)

    def _after(self, attention: nn.MultiheadAttention, asking: Tensor, told: Tensor) -> Tensor:
        """What ``asking`` hears of ``told``, added to ``told``."""
        question, answer = asking.unsqueeze(2), told.unsqueeze(2)
        heard, _ = attention(question, answer, answer, need_weights=False)
        return self.slope(self.norm(told + heard.squeeze(2)))


class MetaShare(nn.Module):
    r"""What two kinds of features share, told to an id by a matrix of low rank that a network makes of them.

    .. math::
        k = \mathrm{sg}[W [v|t]], \quad share = (id^\top M_1) M_2

    with M1 (D, r) and M2 (r, D) from two networks of k, normalised, added to their means over nodes, softmax over
    their first axis. As released, the constant is taken after the linear map, which therefore never learns.

    Args:
        dim: D. rank: r.

    Shape: ids (N, D), both kinds (N, 2 D) to (N, D).
    """

    def __init__(self, dim: int, rank: int = 3) -> None:
        super().__init__()
        self.dim, self.rank = dim, rank
        self.told = nn.Linear(2 * dim, dim)
        self.left, self.right = (
            nn.Sequential(nn.Linear(dim, dim * rank), nn.PReLU(), nn.Linear(dim * rank, dim * rank)) for _ in range(2)
        )

    def forward(self, ids: Tensor, both: Tensor) -> Tensor:
        told = self.told(both).detach()
        left = F.normalize(self.left(told), dim=1).view(-1, self.dim, self.rank)
        right = F.normalize(self.right(told), dim=1).view(-1, self.rank, self.dim)
        left, right = ((part + part.mean(0)).softmax(1) for part in (left, right))
        return torch.einsum("nd,ndr,nre->ne", ids, left, right)
