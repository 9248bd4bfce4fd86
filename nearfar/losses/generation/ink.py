"""How likely a pen's next steps are."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, mean_where

NARROWEST = -6.0
"""Least logarithm of a deviation, so that a step that is always the same has no boundless density."""
STRAIGHTEST = 0.95
"""Largest correlation of the two directions."""


def mixture(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What (..., 6 K + 2) numbers say: logits of K parts (..., K), their means (..., K, 2), logarithms of their
    deviations (..., K, 2), their correlations (..., K), and the logits of the pen's rise and of the end (..., 2)."""
    k = (parameters.shape[-1] - 2) // 6
    weights, means, scales, tilts, switches = parameters.split([k, 2 * k, 2 * k, k, 2], -1)
    pairs = [each.unflatten(-1, (k, 2)) for each in (means, scales)]
    return weights, pairs[0], pairs[1].clamp_min(NARROWEST), STRAIGHTEST * tilts.tanh(), switches


@full_precision
def ink_likelihood(parameters: Tensor, steps: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Negative log-likelihood of a pen's steps under mixtures of Gaussians (Graves 2013, arXiv 1308.0850, section 4).

    .. math::
        L = \overline{- \log \sum_k \pi_k\, \mathcal N(\Delta; \mu_k, \Sigma_k) - \log \mathrm{Bern}(u; p)
            - \log \mathrm{Bern}(e; q)}

    Args:
        parameters: (..., 6 K + 2), what a network says of each step; see :func:`mixture` for their order.
        steps: (..., 4): the step's two directions, and 0 or 1 for whether the pen rises after it and whether the ink
            ends with it.
        mask: (...) bool, steps that count; all of them when not given.

    Returns:
        A scalar, the mean over steps; it has no lower bound, for it is a density.

    Raises:
        TypeError: tensors that are not floating, a mask that is not bool.
        ValueError: shapes or devices that do not fit.
    """
    parameters, steps = floating(parameters=parameters, steps=steps)
    last = parameters.shape[-1]
    if steps.shape != (*parameters.shape[:-1], 4) or last < 8 or (last - 2) % 6:
        raise ValueError(
            f"steps must be (..., 4) and parameters (..., 6 K + 2), got {tuple(steps.shape)} and "
            f"{tuple(parameters.shape)}"
        )
    weights, means, scales, tilts, switches = mixture(parameters)
    z = (steps[..., None, :2] - means) * (-scales).exp()
    rest = 1 - tilts.square()
    distance = (z.square().sum(-1) - 2 * tilts * z.prod(-1)) / rest
    parts = -0.5 * distance - scales.sum(-1) - 0.5 * rest.log() - math.log(2 * math.pi)
    density = torch.logsumexp(weights.log_softmax(-1) + parts, -1)
    switched = F.binary_cross_entropy_with_logits(switches, steps[..., 2:], reduction="none").sum(-1)
    lost = switched - density
    if mask is None:
        return lost.mean()
    return mean_where(lost, boolean("mask", mask, tuple(lost.shape), lost, "steps"))
