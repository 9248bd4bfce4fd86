"""All normal rows attract each other, all changed rows are pushed away: CLAN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nearfar.losses._checks import embeddings, full_precision, number, unit_rows

# Entries of a tile of the matrix of all pairs.
TILE = 1 << 20


@full_precision
def clan(
    z: Tensor, changed: Tensor, *, margin: float = 0.5, alpha: float = 0.5, squared: bool = False, eps: float = 1e-6
) -> Tensor:
    r"""Distances between normal rows, and what changed rows lack of a margin to them, each averaged where it counts.

    .. math:: L = \alpha \frac{\sum_{ij} D(z_i, z_j)}{\#\{D > \epsilon\}}
        + (1 - \alpha) \frac{\sum_{ij} h_{ij}}{\#\{h > \epsilon\}}, \qquad
        h_{ij} = \max(0, m - D(z_i, z'_j)), \quad D(a, b) = \frac{1 - \cos(a, b)}{2} \in [0, 1]

    over all pairs (CLAN, DOI 10.1109/CSR64739.2025.11129979; jackwilkie/CLAN, ``loss/clan_loss.py``). A margin of 0.5
    asks a changed row to be orthogonal to every normal one. The average over pairs that count, not all, keeps the few
    hard negatives from fading.

    The sum of distances is :math:`\frac{B}{2} \sum_i \| u_i - \bar u \|^2` of the unit rows; pairs are counted, and
    hinges taken, in tiles, so that memory grows linearly with the batch, of thousands in the paper.

    Args:
        z: (B, D), normal rows.
        changed: (A, D), rows with features replaced.
        margin: m, in [0, 1].
        alpha: share of the attraction, in [0, 1].
        squared: square distances and hinges, before they are counted.
        eps: what counts is larger; also added to the counts.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that do not fit, a number out of range.
    """
    z, changed = embeddings(z=z, changed=changed)
    for name, value in (("margin", margin), ("alpha", alpha)):
        if not 0 <= number(name, value) <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value}")
    number("eps", eps, at_least=0.0)
    u, v = unit_rows(z), unit_rows(changed)
    attraction = _all_distances(u, squared) / (_count_apart(u.detach(), squared, eps) + eps)
    hinge, active = _Hinge.apply(u, v, margin, squared, eps)
    return alpha * attraction + (1 - alpha) * hinge / (active + eps)


def _all_distances(u: Tensor, squared: bool) -> Tensor:
    """The sum of D, or of its square, over all pairs of unit rows."""
    count = len(u)
    if squared:
        return (count * count - 2 * u.sum(0).square().sum() + (u.T @ u).square().sum()) / 4
    return count * ((u - u.mean(0)).square().sum() + (count - u.square().sum())) / 2


def _count_apart(u: Tensor, squared: bool, eps: float) -> Tensor:
    least = eps**0.5 if squared else eps
    near = 1 - 2 * least
    found = u.new_zeros((), dtype=torch.float64)
    size = max(TILE // len(u), 1)
    for first in range(0, len(u), size):
        cosine = u[first : first + size] @ u.T
        rows = torch.arange(len(cosine), device=u.device)
        cosine[rows, first + rows] = 1.0  # a row is not apart from itself
        found += (cosine < near).sum()
    return found.to(u.dtype)


class _Hinge(torch.autograd.Function):
    """The sum of hinges and the number of those that count; the gradient is made beside the sum."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, v: Tensor, margin: float, squared: bool, eps: float) -> tuple[Tensor, Tensor]:
        total, active = u.new_zeros(()), u.new_zeros((), dtype=torch.float64)
        grad_u, grad_v = torch.zeros_like(u), torch.zeros_like(v)
        size = max(TILE // len(v), 1)
        for first in range(0, len(u), size):
            part = slice(first, first + size)
            hinge = (u[part] @ v.T).sub_(1).div_(2).add_(margin).clamp_min_(0)
            slope = hinge if squared else (hinge > 0).to(u.dtype) / 2  # of h^2: 2 h / 2
            grad_u[part] = slope @ v
            grad_v += slope.T @ u[part]
            value = hinge.square() if squared else hinge
            total = total + value.sum()
            active += (value > eps).sum()
        ctx.save_for_backward(grad_u, grad_v)
        count = active.to(u.dtype)
        ctx.mark_non_differentiable(count)
        return total, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_u, grad_v = ctx.saved_tensors
        return grad_u * grad, grad_v * grad, None, None, None
