"""States of the future against random ones: the critics of Contrastive RL, of its stable form and of C-learning."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, number
from nearfar.losses.control._scores import own, square

NegativeWeight = Literal["unit", "balanced"]


@full_precision
def pairwise_nce(logits: Tensor, *, negative_weight: NegativeWeight = "unit") -> Tensor:
    r"""Every pair of a state-action and a state is asked whether the second is of the first one's future.

    .. math::
        L = \frac{1}{B^2} \sum_{ij} w_{ij} \, \mathrm{BCE}\big(f_{ij}, \mathbf 1[i = j]\big),
        \qquad w_{ii} = 1, \quad w_{ij} = 1 \text{ or } \tfrac{1}{B - 1}

    averaged over critics: Contrastive RL (arXiv 2206.07568, ``contrastive/learning.py``) with unit weights, Stabilizing
    Contrastive RL (arXiv 2306.03346) with balanced ones. At its optimum
    :math:`f = \log p(s_f \mid s, a) - \log p(s_f)`, less :math:`\log(B - 1)` with unit weights.

    Args:
        logits: (B, B) or, of n critics, (B, B, n); column i a state of the future of row i, the other columns random.
        negative_weight: ``unit`` or ``balanced``.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: logits that are not square.
    """
    (logits,) = square(logits=logits)
    choice("negative_weight", negative_weight, ("unit", "balanced"))
    size = len(logits)
    same = torch.eye(size, dtype=torch.bool, device=logits.device).unsqueeze(-1)
    pairs = F.softplus(torch.where(same, -logits, logits))
    if negative_weight == "balanced" and size > 1:
        pairs = torch.where(same, pairs, pairs / (size - 1))
    return pairs.mean()


@full_precision
def penalized_info_nce(logits: Tensor, *, penalty: float = 0.01) -> Tensor:
    r"""InfoNCE over rows whose normaliser is held near 0, so that scores of different rows can be compared.

    .. math::
        L = \frac1B \sum_i \Big[ -\log \mathrm{softmax}_i(f_i)_i + \lambda \big( \log \sum_j e^{f_{ij}} \big)^2 \Big]

    averaged over critics; the option ``use_cpc`` of the released Contrastive RL.

    Args:
        logits: (B, B) or (B, B, n).
        penalty: :math:`\lambda`, at least 0.
    """
    (logits,) = square(logits=logits)
    number("penalty", penalty, at_least=0.0)
    whole = logits.logsumexp(1)
    return (whole - own(logits) + penalty * whole.square()).mean()


@full_precision
def c_learning(logits: Tensor, target: Tensor, *, discount: float, mixed: bool = False) -> Tensor:
    r"""Temporal differences of a classifier of the future: C-learning, and its mixture with Contrastive RL.

    With :math:`g_j` the goal of column j, which for row j is its next state, and :math:`g'_i = g_{i+1}` (the last row
    takes the first goal),

    .. math::
        L = \frac1B \sum_i (1 - \gamma)\, \mathrm{BCE}(f_{ii}, 1) + \gamma w_i\, \mathrm{BCE}(f_{i,i+1}, 1)
            + \mathrm{BCE}(f_{i,i+1}, 0),
        \qquad w_i = \min\Big( \frac{v_i}{1 - v_i}, 20 \Big), \quad v_i = \sigma(\min_n f'_{ii})

    averaged over critics. With ``mixed`` the weights are :math:`2 - \gamma`, :math:`\gamma w` and 2, and the first
    :math:`\lfloor B (1 - \gamma) / (2 - \gamma) \rfloor` goals are next states, the others of the future
    (``add_mc_to_td``): the caller arranges them.

    Args:
        logits: (B, B) or (B, B, n).
        target: of the same shape; its diagonal is the target critic's score of (next state, the policy's action there,
            :math:`g'_i`). No gradient reaches it.
        discount: :math:`\gamma` in [0, 1).
        mixed: the weights of the mixture.
    """
    logits, target = square(logits=logits, target=target)
    number("discount", discount, at_least=0.0)
    if discount >= 1:
        raise ValueError(f"discount must be below 1, got {discount}")
    positive, negative = own(logits), own(logits, 1)
    # v / (1 - v) of a sigmoid is the exponential of its logit.
    weight = own(target.detach()).min(-1, keepdim=True).values.exp().clamp(max=20.0)
    first, last = (2 - discount, 2.0) if mixed else (1 - discount, 1.0)
    terms = first * F.softplus(-positive) + discount * weight * F.softplus(-negative) + last * F.softplus(negative)
    return terms.mean()
