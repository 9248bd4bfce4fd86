"""Futures in a latent space: which of the batch's states a rolled-out prediction is nearest to."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, inverse_temperature, number


def _steps(predicted: Tensor, reached: Tensor) -> tuple[Tensor, Tensor]:
    predicted, reached = floating(predicted=predicted, reached=reached)
    if predicted.ndim != 3 or predicted.shape != reached.shape:
        raise ValueError(
            f"predicted and reached must be (K, B, D) alike, got {tuple(predicted.shape)} and {tuple(reached.shape)}"
        )
    return predicted, reached


@full_precision
def latent_info_nce(predicted: Tensor, reached: Tensor, *, temperature: float | Tensor) -> Tensor:
    r"""A prediction of K steps ahead finds the state that was reached, by distance, among those of the batch.

    .. math:: L = \frac1K \sum_k \mathrm{CE}\big( -\lVert \hat z_{k,i} - z_{k,j} \rVert^2 / \tau, \; j = i \big)

    Args:
        predicted: (K, B, D), rolled out from the state before.
        reached: (K, B, D), the codes of what was seen; the other rows of the same step are the negatives.
        temperature: divides the squared distances; a positive float or a 0-d tensor.
    """
    predicted, reached = _steps(predicted, reached)
    scores = -torch.cdist(predicted, reached).square() * inverse_temperature(temperature, predicted)
    return (scores.logsumexp(2) - scores.diagonal(dim1=1, dim2=2)).mean()


@full_precision
def latent_hinge(
    predicted: Tensor, reached: Tensor, *, margin: float = 1.0, sigma: float = 0.5, others: Tensor | None = None
) -> Tensor:
    r"""The energy of the prediction falls and that of other states rises to a margin (C-SWM, arXiv 1911.12247).

    .. math::
        L = H(\hat z, z) + \max\big(0, m - H(\tilde z, z)\big), \qquad H(a, b) = \lVert a - b \rVert^2 / (2\sigma^2)

    averaged over steps and rows.

    Args:
        predicted, reached: (K, B, D).
        margin: m, at least 0.
        sigma: above 0.
        others: (B,) which row's state is each row's negative; the next one when not given.
    """
    predicted, reached = _steps(predicted, reached)
    number("margin", margin, at_least=0.0)
    scale = 1 / (2 * number("sigma", sigma, above=0.0) ** 2)
    negative = reached.roll(1, 1) if others is None else reached[:, others]
    here = scale * (predicted - reached).square().sum(-1)
    there = scale * (negative - reached).square().sum(-1)
    return (here + (margin - there).clamp_min(0)).mean()
