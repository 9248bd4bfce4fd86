"""Parts of episodes against each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, number


def cpl_loss(
    first: Tensor,
    second: Tensor,
    label: Tensor,
    reference_first: Tensor | None = None,
    reference_second: Tensor | None = None,
    *,
    alpha: float = 0.1,
    lam: float = 0.5,
    discount: float = 1.0,
) -> Tensor:
    r"""Contrastive preference learning (Hejna et al., 2023, arXiv 2310.13639), the asymmetric form of its release.

    With :math:`A = \alpha \sum_t \gamma^t \log\pi(a_t|s_t)` of each segment (minus the reference's where one is given),
    :math:`y\,\mathrm{softplus}(\lambda A_1 - A_2) + (1 - y)\,\mathrm{softplus}(\lambda A_2 - A_1)`. Of one step, with
    a reference and lam 1, it is DPO.

    Args:
        first, second: (N, T) log-probabilities of the actions of two segments.
        label: (N,) in [0, 1]: 1 where the second is preferred, 0.5 for a tie, which counts both ways.
        reference_first, reference_second: the same under a reference, without gradients (the KL variant).
        alpha: temperature, above 0; sums grow with T, so it has to shrink with it.
        lam: how much the other segment counts, in [0, 1]: below 1 keeps the policy near the data.
        discount: of later steps, in (0, 1]; the paper has one, the release does not.
    """
    a, b = _sums(first, reference_first, alpha, discount), _sums(second, reference_second, alpha, discount)
    if not 0 <= number("lam", lam) <= 1:
        raise ValueError(f"lam must be in [0, 1], got {lam}")
    if first.shape != second.shape or label.shape != first.shape[:1]:
        raise ValueError(
            "first and second must be (N, T) and label (N,), got "
            f"{tuple(first.shape)}, {tuple(second.shape)} and {tuple(label.shape)}"
        )
    y = label.to(a.dtype)
    return (y * F.softplus(lam * a - b) + (1 - y) * F.softplus(lam * b - a)).mean()


def cpl_rank_loss(advantages: Tensor, scores: Tensor, *, lam: float = 0.5) -> Tensor:
    r"""The same over every pair of N rated segments: the better one of a pair is preferred.

    The sum is divided by the number of terms that are not 0, as in the release; ties are ordered by position.

    Args:
        advantages: (N,), alpha times the summed log-probabilities.
        scores: (N,), higher is better.
        lam: as for :func:`cpl_loss`.
    """
    (advantages,) = floating(advantages=advantages)
    if advantages.ndim != 1 or scores.shape != advantages.shape or len(scores) < 2:
        raise ValueError(
            f"advantages and scores must be (N,) with N at least 2, got {tuple(advantages.shape)} and "
            f"{tuple(scores.shape)}"
        )
    rising = advantages[scores.argsort(stable=True)]
    terms = F.softplus(number("lam", lam, at_least=0.0) * rising[:, None] - rising[None, :]).triu(1)
    return terms.sum() / torch.count_nonzero(terms.detach()).clamp_min(1)


def _sums(logps: Tensor, reference: Tensor | None, alpha: float, discount: float) -> Tensor:
    (logps,) = floating(logps=logps)
    if logps.ndim != 2:
        raise ValueError(f"log-probabilities of a segment's actions must be (N, T), got {tuple(logps.shape)}")
    if not 0 < number("discount", discount) <= 1:
        raise ValueError(f"discount must be in (0, 1], got {discount}")
    if reference is not None:
        logps = logps - reference.detach().to(logps.dtype)
    if discount < 1:
        logps = logps * discount ** torch.arange(logps.shape[1], device=logps.device, dtype=logps.dtype)
    return number("alpha", alpha, above=0.0) * logps.sum(1)
