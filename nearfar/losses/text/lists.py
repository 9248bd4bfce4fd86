"""Scores of a query's passages against which of them are right."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, number


@full_precision
def circle_loss(scores: Tensor, positive: Tensor, negative: Tensor, *, margin: float, scale: float) -> Tensor:
    r"""The circle loss of lists (Sun et al. 2020, arXiv 2002.10857, equation 6), as ListConRanker is trained with.

    .. math::
        \ell = \log \Big( 1 + \sum_j e^{\gamma [s_j^- + m]_+ (s_j^- - m)}
            \sum_i e^{-\gamma [1 + m - s_i^+]_+ (s_i^+ - 1 + m)} \Big)

    with the weights in brackets held constant, so that the farther a score is from where it should be, the harder it
    is pulled. Lists without a right or without a wrong passage have no loss, and the mean is over the others. There
    are no defaults: the paper of the loss has m = 0.25 and a scale of 256, and ListConRanker (arXiv 2501.07111)
    published neither its code of training nor settings that could be checked.

    Args:
        scores: (Q, n), similarities or probabilities, at best 1 for right and 0 for wrong passages.
        positive: (Q, n) booleans, the right passages.
        negative: (Q, n) booleans, the wrong ones. Padding is neither.
        margin: how far scores may stay from their best, finite.
        scale: multiplies the exponents, above 0.

    Returns:
        A scalar, at least 0; 0 where no list has both.

    Raises:
        TypeError: a dtype that does not fit. ValueError: shapes, devices or numbers that do not fit.
    """
    (s,) = floating(scores=scores)
    if s.ndim != 2:
        raise ValueError(f"scores must be a matrix (Q, n), got shape {tuple(s.shape)}")
    shape = s.shape[0], s.shape[1]
    right = boolean("positive", positive, shape, s, "scores").bool()
    wrong = boolean("negative", negative, shape, s, "scores").bool()
    m, gamma = number("margin", margin), number("scale", scale, above=0.0)
    both = right.any(1) & wrong.any(1)
    s, right, wrong = s[both], right[both], wrong[both]
    if len(s) == 0:
        return scores.sum() * 0
    up = -gamma * F.relu(1 + m - s.detach()) * (s - (1 - m))
    down = gamma * F.relu(s.detach() + m) * (s - m)
    return F.softplus(_lse(up, right) + _lse(down, wrong)).mean()


def _lse(values: Tensor, where: Tensor) -> Tensor:
    return torch.logsumexp(values.masked_fill(~where, -torch.inf), 1)
