"""What actors climb: the critic's score of their goal, beside actions to imitate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.losses._checks import choice, floating, full_precision, number
from nearfar.losses.control._scores import own, scores, square


@full_precision
def reaching(logits: Tensor, log_prob: Tensor | None = None, *, alpha: float | Tensor = 0.0) -> Tensor:
    r"""(B,) what an actor of Contrastive RL minimises: :math:`\alpha \log \pi(a \mid s, g) - \min_n f(s, a, g)`.

    Args:
        logits: (B, B) or (B, B, n), scores of the policy's actions with all goals; the diagonal counts.
        log_prob: (B,) of these actions; not needed where ``alpha`` is 0.
        alpha: the price of certainty; a number at least 0 or a 0-d tensor.
    """
    (logits,) = square(logits=logits)
    value = own(logits).min(-1).values
    if log_prob is None:
        if isinstance(alpha, Tensor) or alpha:
            raise ValueError("alpha prices log_prob, which is not given")
        return -value
    if log_prob.shape != value.shape:
        raise ValueError(f"log_prob must have shape {tuple(value.shape)}, got {tuple(log_prob.shape)}")
    return alpha * log_prob - value


def cloning(objective: Tensor, imitation: Tensor, *, share: float) -> Tensor:
    """The mean of ``share`` parts of imitation and ``1 - share`` parts of the objective.

    Args:
        objective: (B,) what the actor minimises.
        imitation: (B,) how badly it imitates, ``-log pi(a_data)`` for instance.
        share: in [0, 1].
    """
    if not 0 <= number("share", share) <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}")
    objective, imitation = floating(objective=objective, imitation=imitation)
    return (share * imitation + (1 - share) * objective).mean()


@full_precision
def example_value(logits: Tensor, *, aggregate: str = "logmeanexp") -> Tensor:
    r"""(B,) the value of acting towards any of M examples of success, given the scores with all of them.

    ``logmeanexp`` is the theory of LAEO (arXiv 2307.13101), :math:`\log \frac1M \sum_e e^{f(s, a, e)}`; ``logsumexp``
    (the same plus :math:`\log M`) and ``max`` are flags of the released code. All are taken within each critic, before
    the least of them, as released.

    Args:
        logits: (B, M) or (B, M, n).
        aggregate: ``logmeanexp``, ``logsumexp`` or ``max``.
    """
    (logits,) = scores(logits=logits)
    choice("aggregate", aggregate, ("logmeanexp", "logsumexp", "max"))
    if aggregate == "max":
        return logits.amax(1).amin(-1)
    whole = logits.logsumexp(1).amin(-1)
    return whole - math.log(logits.shape[1]) if aggregate == "logmeanexp" else whole


def cosine_codes(codes: Tensor, temperature: float = 1.0) -> Tensor:
    """Codes (B, d, n) of length ``1 / temperature`` for each critic, with the released floor of 1e-8 added."""
    return codes / (torch.linalg.vector_norm(codes, dim=1, keepdim=True) + 1e-8) / temperature
