"""K replies to each prompt, each with a reward."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, floating, number


def infonca_loss(
    policy: Tensor, reference: Tensor, rewards: Tensor, *, beta: float = 0.01, temperature: float = 1e-4
) -> Tensor:
    r"""InfoNCA (Chen et al., 2024, arXiv 2402.05369): which of K replies is the good one, as a softmax.

    .. math:: -\sum_i q_i \log \mathrm{softmax}(g)_i, \quad q = \mathrm{softmax}(r / t),
        \quad g = \beta (\log\pi - \log\pi_{ref})

    Least at :math:`g = \log q` up to a constant of the prompt. With two replies and a small temperature it is DPO.

    Args:
        policy, reference: (N, K) log-probabilities, summed over tokens, K at least 2.
        rewards: (N, K), higher is better. The release adds 0.01 to that of the reply it lists first, which decides
            ties; add it to the rewards where that is wanted.
        beta: above 0.
        temperature: t, above 0, in the unit of the rewards: the inverse of the paper's alpha. As small as the
            release's, the labels are hard; rewards that tie share.
    """
    g, q = _rated(policy, reference, rewards, beta, temperature)
    return -(q * g.log_softmax(-1)).sum(-1).mean()


def nca_loss(
    policy: Tensor, reference: Tensor, rewards: Tensor, *, beta: float = 0.01, temperature: float = 1e-4
) -> Tensor:
    r"""NCA (Chen et al., 2024, arXiv 2402.05369): whether each of K replies is a good one, by itself.

    .. math:: -\sum_i q_i \log\sigma(g_i) - \frac1K \sum_i \log\sigma(-g_i)

    with q and g of :func:`infonca_loss`. Least at :math:`g_i = \log(K q_i)`: replies better than the average become
    likelier than under the reference, which losses of differences do not promise.

    Args:
        policy, reference, rewards, beta, temperature: as for :func:`infonca_loss`.
    """
    g, q = _rated(policy, reference, rewards, beta, temperature)
    return (-(q * F.logsigmoid(g)).sum(-1) - F.logsigmoid(-g).mean(-1)).mean()


def copg_loss(policy: Tensor, reference: Tensor, rewards: Tensor, *, beta: float = 0.1, scale: str = "pg") -> Tensor:
    r"""Contrastive policy gradient (Flet-Berliac et al., 2024, arXiv 2406.19185) of K replies from anywhere.

    With :math:`R_\beta = r - \beta (\log\pi - \log\pi_{ref})`, each pair of replies to a prompt costs
    :math:`(R_\beta(y) - R_\beta(y'))^2`: the other reply's regularised reward is the baseline. The sum over pairs is
    divided by K - 1. Least at :math:`\pi \propto \pi_{ref} \exp(r / \beta)` wherever the replies' distribution has
    support. Rewards +1/4 and -1/4 give :func:`nearfar.losses.ipo_loss` times the square of beta.

    Args:
        policy, reference: (N, K) log-probabilities, summed over tokens, K at least 2.
        rewards: (N, K), without a gradient.
        beta: above 0.
        scale: ``pg`` divides by 2 beta, so that the gradient has the unit of a policy gradient and, of the policy's own
            replies, is that of the leave-one-out estimator; ``raw`` does not.
    """
    policy, reference, rewards = _three(policy, reference, rewards)
    choice("scale", scale, ("pg", "raw"))
    regularised = rewards - number("beta", beta, above=0.0) * (policy - reference)
    k = regularised.shape[1]
    # The sum over pairs of squared differences is K times the squared distances from the mean.
    pairs = k * (regularised - regularised.mean(1, keepdim=True)).square().sum(1) / (k - 1)
    return pairs.mean() / (2 * beta if scale == "pg" else 1.0)


def _rated(
    policy: Tensor, reference: Tensor, rewards: Tensor, beta: float, temperature: float
) -> tuple[Tensor, Tensor]:
    policy, reference, rewards = _three(policy, reference, rewards)
    g = number("beta", beta, above=0.0) * (policy - reference)
    return g, (rewards / number("temperature", temperature, above=0.0)).softmax(-1)


def _three(policy: Tensor, reference: Tensor, rewards: Tensor) -> list[Tensor]:
    found = floating(policy=policy, reference=reference, rewards=rewards)
    if policy.ndim != 2 or policy.shape[1] < 2 or not policy.shape == reference.shape == rewards.shape:
        raise ValueError(
            "policy, reference and rewards must all be (N, K) with K at least 2, got "
            f"{tuple(policy.shape)}, {tuple(reference.shape)} and {tuple(rewards.shape)}"
        )
    return [found[0], found[1].detach(), torch.as_tensor(found[2]).detach()]
