"""InfoNCE by temporal differences."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses._checks import full_precision, number
from nearfar.losses.control._scores import own, scores, square


@full_precision
def td_info_nce(positive: Tensor, random: Tensor, target: Tensor, *, discount: float) -> Tensor:
    r"""Contrastive difference predictive coding: next states as positives, random states as soft ones.

    .. math::
        L = \frac1B \sum_i (1 - \gamma) \big[ -\log \mathrm{softmax}(p_i)_i \big]
            + \gamma \Big[ -\sum_j W_{ij} \log \mathrm{softmax}(r_i)_j \Big],
        \qquad W_i = \mathrm{softmax}\big( \min_n t_i \big)

    averaged over critics (arXiv 2310.20141, ``td_infonce/learning.py``). Its optimum is the discounted distribution of
    the states after (s, a), without a trajectory of the policy having been seen.

    Args:
        positive: (B, B) or (B, B, n), scores of the state-actions with the next states; column i belongs to row i.
        random: (B, M) or (B, M, n), scores with random states.
        target: like ``random``: the target critic's scores of the next states, with the actions that the policy takes
            there, with the same random states. No gradient reaches it.
        discount: :math:`\gamma` in [0, 1).

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or a discount that do not fit.
    """
    (positive,) = square(positive=positive)
    random, target = scores(random=random, target=target)
    if random.shape != target.shape or len(random) != len(positive):
        raise ValueError(f"random has shape {tuple(random.shape)} and target {tuple(target.shape)}; they must be equal")
    number("discount", discount, at_least=0.0)
    if discount >= 1:
        raise ValueError(f"discount must be below 1, got {discount}")
    weight = target.detach().min(-1, keepdim=True).values.softmax(1)
    here = positive.logsumexp(1) - own(positive)
    later = -(weight * random.log_softmax(1)).sum(1)
    return ((1 - discount) * here + discount * later).mean()


@full_precision
def picking(logits: Tensor) -> Tensor:
    """What the actor of TD InfoNCE minimises: (B,), how badly its action picks its own goal among the batch's.

    ``-log softmax(min over critics)`` of the diagonal.

    Args:
        logits: (B, B) or (B, B, n), scores of the policy's actions with all goals.
    """
    (logits,) = square(logits=logits)
    least = logits.min(-1, keepdim=True).values
    return (least.logsumexp(1) - own(least)).squeeze(-1)
