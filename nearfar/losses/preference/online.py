"""What a policy's own replies say about its distance from the reference."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses._checks import choice, floating


def online_kl_loss(policy: Tensor, reference: Tensor, *, baseline: str = "none") -> Tensor:
    r"""A scalar whose gradient estimates that of :math:`KL(\pi \| \pi_{ref})` from replies that were drawn from the
    policy as it is (Song et al., 2024, arXiv 2406.01462): the mean of :math:`sg(k - b) \log\pi(y)`, with k the
    log-ratio of the whole reply. Its value is not the divergence; the mean of k estimates that.

    Differentiating the mean of k itself over fixed replies would give a gradient whose expectation is 0.

    Args:
        policy, reference: (N, K) log-probabilities of K replies to each prompt, drawn at temperature 1 and uncut.
        baseline: ``none``, or ``loo``: the mean k of the prompt's other replies, which needs K of 2 or more.
    """
    policy, reference = floating(policy=policy, reference=reference)
    choice("baseline", baseline, ("none", "loo"))
    if policy.ndim != 2 or policy.shape != reference.shape:
        raise ValueError(
            f"policy and reference must both be (N, K), got {tuple(policy.shape)} and {tuple(reference.shape)}"
        )
    k = (policy - reference).detach()
    if baseline == "loo":
        count = k.shape[1]
        if count < 2:
            raise ValueError("baseline='loo' compares the replies to a prompt: two or more are needed, got 1")
        k = k - (k.sum(1, keepdim=True) - k) / (count - 1)
    return (k * policy).mean()
