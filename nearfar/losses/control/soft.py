"""Soft actor-critic: values that prize entropy, averaged over views of the same picture."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, number, tensors


@tensors
@full_precision
@torch.no_grad()
def soft_target(
    reward: Tensor, continues: Tensor, values: Tensor, log_prob: Tensor, *, alpha: float | Tensor, discount: float
) -> Tensor:
    r"""(B,) what the critics regress on, averaged over K views of the next observation.

    .. math:: y = r + \gamma\, c\, \frac1K \sum_k \big[ \min_n Q'_n(s'_k, a'_k) - \alpha \log \pi(a'_k \mid s'_k) \big]

    DrQ (arXiv 2004.13649) with K views, SAC with one.

    Args:
        reward: (B,).
        continues: (B,) 0 where the world itself has ended and 1 elsewhere, also at a limit of steps.
        values: (K, B, n) of the target critics, each view with an action drawn for it.
        log_prob: (K, B) of these actions.
        alpha: price of certainty.
        discount: :math:`\gamma` in [0, 1].
    """
    if values.ndim != 3 or values.shape[:2] != log_prob.shape or values.shape[1:2] != reward.shape:
        raise ValueError(
            f"values must be (K, B, n), log_prob (K, B) and reward (B,); got {tuple(values.shape)}, "
            f"{tuple(log_prob.shape)} and {tuple(reward.shape)}"
        )
    if not 0 <= number("discount", discount) <= 1:
        raise ValueError(f"discount must be in [0, 1], got {discount}")
    return reward + discount * continues * (values.min(-1).values - alpha * log_prob).mean(0)


@tensors
@full_precision
def value_regression(values: Tensor, target: Tensor) -> Tensor:
    """The squared error of each critic on each view, summed over critics and views, averaged over the batch.

    The released DrQ sums over views where its paper averages.

    Args:
        values: (M, B, n).
        target: (B,), without gradient.
    """
    if values.ndim != 3 or values.shape[1:2] != target.shape:
        raise ValueError(
            f"values must be (M, B, n) and target (B,), got {tuple(values.shape)} and {tuple(target.shape)}"
        )
    return (values - target.detach()[None, :, None]).square().mean(1).sum()


@tensors
@full_precision
def soft_actor(values: Tensor, log_prob: Tensor, *, alpha: float | Tensor) -> Tensor:
    """What the actor of SAC minimises: the mean of ``alpha log pi - min Q``.

    Args:
        values: (B, n) of the policy's actions.
        log_prob: (B,) of them.
        alpha: price of certainty, without gradient.
    """
    price = alpha.detach() if isinstance(alpha, Tensor) else alpha
    return (price * log_prob - values.min(-1).values).mean()


@tensors
@full_precision
def entropy_price(log_alpha: Tensor, log_prob: Tensor, *, target: float) -> Tensor:
    """What the price of certainty minimises: ``alpha (-log pi - target)``, so that the entropy stays at ``target``."""
    return (log_alpha.exp() * (-log_prob - target).detach()).mean()
