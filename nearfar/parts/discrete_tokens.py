"""Tokens as sparse mixtures of a finite set that several modalities share (FDT)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["Activation", "TokenPool", "discrete_weights", "mixture", "sparsemax"]

Activation = Literal["sparsemax", "softmax", "sigmoid"]
TokenPool = Literal["max", "mean", "sum"]


def sparsemax(x: Tensor, dim: int = -1) -> Tensor:
    r"""The Euclidean projection of scores on the simplex (Martins and Astudillo, 2016, arXiv 1602.02068).

    .. math::
        p_i = \max(0, x_i - \tau), \qquad \tau = \frac{\sum_{j \le k} x_{(j)} - 1}{k},

    with the scores sorted from the largest and k the largest number for which
    :math:`1 + k x_{(k)} > \sum_{j \le k} x_{(j)}`. Scores far below the largest get exactly 0, and no gradient.

    Args:
        x: floating scores of any shape.
        dim: along which the results sum to 1.
    """
    shifted = x - x.amax(dim, keepdim=True).detach()
    ordered = shifted.sort(dim, descending=True).values
    sums = ordered.cumsum(dim)
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    places = torch.arange(1, x.shape[dim] + 1, device=x.device, dtype=x.dtype).view(shape)
    inside = 1 + places * ordered > sums
    support = inside.sum(dim, keepdim=True)
    threshold = (sums.gather(dim, support - 1) - 1) / support.to(x.dtype)
    return (shifted - threshold).clamp_min(0)


def discrete_weights(
    queries: Tensor,
    codebook: Tensor,
    *,
    temperature: float | Tensor,
    mask: Tensor | None = None,
    pool: TokenPool = "max",
    activation: Activation = "sparsemax",
) -> Tensor:
    r"""How much of each shared token is in each example (arXiv 2303.14865; released ``clip_fdt.py``).

    .. math::
        w = \operatorname{sparsemax}\Big( \max_t \frac{q_t C^T}{T \sqrt d} \Big)

    A token that is only padding scores 0, as in the released code: it does not drop out, and under ``max`` it lifts
    every negative score to 0. ``mean`` divides by all tokens, padding among them. The scores (N, T, K) are held in
    memory.

    Args:
        queries: (N, T, D), tokens of N examples.
        codebook: (K, D), as it is: neither projected nor normalised.
        temperature: divides the scores, above 0. The larger it is and the fewer tokens there are, the more of them
            share in an example: with random weights all of 1024 and fewer at the released 1000. Tokens that share in
            none get no gradient.
        mask: (N, T), true or 1 where a token is no padding.
        pool: how the scores of an example's tokens become one.
        activation: what makes weights of them; those of ``sigmoid`` do not sum to 1.

    Returns:
        (N, K), at least 0.

    Raises:
        ValueError: shapes that do not fit, or a pool or activation of another name.
    """
    if queries.ndim != 3 or codebook.ndim != 2 or queries.shape[2] != codebook.shape[1]:
        raise ValueError(
            f"queries (N, T, D) and a codebook (K, D) are needed, got {tuple(queries.shape)} and "
            f"{tuple(codebook.shape)}"
        )
    if pool not in get_args(TokenPool) or activation not in get_args(Activation):
        raise ValueError(
            f"pool must be one of {', '.join(get_args(TokenPool))} and activation one of "
            f"{', '.join(get_args(Activation))}, got {pool!r} and {activation!r}"
        )
    scores = queries @ codebook.T / codebook.shape[1] ** 0.5
    if mask is not None:
        scores = scores * mask.unsqueeze(-1).to(scores.dtype)
    scores = scores / temperature
    pooled = scores.amax(1) if pool == "max" else scores.mean(1) if pool == "mean" else scores.sum(1)
    if activation == "sigmoid":
        return pooled.sigmoid()
    return sparsemax(pooled) if activation == "sparsemax" else pooled.softmax(1)


def mixture(weights: Tensor, codebook: Tensor) -> Tensor:
    """The mean (N, D) of tokens (K, D) under weights (N, K)."""
    return weights @ codebook / weights.sum(1, keepdim=True)
