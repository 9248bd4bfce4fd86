"""Projected gradient ascent on the edges and features of a graph (ARIEL)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Attack:
    """How a graph is attacked.

    Args:
        steps: of gradient ascent, at least 1.
        budget: the expected number of changed edges, as a share of the graph's edges, in [0, 1].
        edge_rate: how far a step moves the edges (alpha), divided by the root of its number.
        feature_rate: how far a step moves each feature (beta).
        feature_limit: the largest change of a feature.
    """

    steps: int = 5
    budget: float = 0.2
    edge_rate: float = 200.0
    feature_rate: float = 0.01
    feature_limit: float = 0.04

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.budget <= 1:
            raise ValueError(
                f"attack.steps from 1 and attack.budget in [0, 1] are needed, got {self.steps}, {self.budget}"
            )
        for name in ("edge_rate", "feature_rate", "feature_limit"):
            if getattr(self, name) < 0:
                raise ValueError(f"attack.{name} must be at least 0, got {getattr(self, name)}")


def attacked(
    loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, adjacency: Tensor, how: Attack, uniform: Tensor
) -> tuple[Tensor, Tensor]:
    """Features and normalised adjacency that raise a loss, within a budget.

    Every pair of nodes has a number in [0, 1], how far its edge is flipped; ascent on these is projected onto the
    budget. At the end every pair is flipped or not, with that probability: what is trained on is a graph.

    Args:
        loss: of features (N, F) and a normalised adjacency (N, N); its parameters are left alone.
        x: (N, F).
        adjacency: (N, N) of zeros and ones, symmetric, without loops.
        how: steps and limits.
        uniform: (N, N) random numbers in [0, 1), which decide the flips; those above the diagonal are used.

    Returns:
        Features (N, F) and normalised adjacency (N, N), without gradients.
    """
    nodes = len(x)
    loops = torch.eye(nodes, dtype=x.dtype, device=x.device)
    flips = 1 - 2 * adjacency - loops
    moves, shift = torch.zeros_like(adjacency), torch.zeros_like(x)
    budget = how.budget * float(adjacency.sum()) / 2
    for step in range(how.steps):
        with torch.enable_grad():
            moves, shift = moves.detach().requires_grad_(), shift.detach().requires_grad_()
            changed = symmetric_normalised(adjacency + _both(moves) * flips)
            edge_grad, feature_grad = torch.autograd.grad(loss(x + shift, changed), (moves, shift))
        with torch.no_grad():
            moves = projected(moves + how.edge_rate / (step + 1) ** 0.5 * edge_grad, budget)
            shift = (shift + how.feature_rate * feature_grad.sign()).clamp(-how.feature_limit, how.feature_limit)
    chosen = (moves > uniform).to(x.dtype)
    return (x + shift).detach(), symmetric_normalised(adjacency + _both(chosen) * flips).detach()


def _both(moves: Tensor) -> Tensor:
    upper = moves.triu(1)
    return upper + upper.T


def symmetric_normalised(adjacency: Tensor) -> Tensor:
    """``D^-1/2 (A + I) D^-1/2`` of a dense matrix, with D the sums of its rows; differentiable."""
    whole = adjacency + torch.eye(len(adjacency), dtype=adjacency.dtype, device=adjacency.device)
    scale = whole.sum(1).clamp_min(1e-12).rsqrt()
    return scale.unsqueeze(1) * whole * scale


@torch.no_grad()
def projected(moves: Tensor, budget: float, tolerance: float = 1e-3) -> Tensor:
    """The nearest numbers in [0, 1] that sum to at most ``budget``, by bisection.

    As released, the tolerance is on what is subtracted from every number, not on the sum, and the last midpoint that
    was tried is the one that is used.
    """
    clipped = moves.clamp(0, 1)
    if clipped.sum() <= budget:
        return clipped
    low, high = float(moves.min()) - 1, float(moves.max())
    middle = low
    below = float((moves - low).clamp(0, 1).sum()) - budget
    while abs(high - low) > tolerance:
        middle = (low + high) / 2
        over = float((moves - middle).clamp(0, 1).sum()) - budget
        if over == 0:
            break
        if (over > 0) == (below > 0):
            low, below = middle, over
        else:
            high = middle
    return (moves - middle).clamp(0, 1)
