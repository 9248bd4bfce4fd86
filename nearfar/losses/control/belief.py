"""Beliefs over tasks: what happened later in a trajectory against what happened in others."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses._checks import floating, full_precision


@full_precision
def belief_nce(positive: Tensor, negatives: Tensor) -> Tensor:
    r"""A context tells the transition that follows in its own trajectory from those of other trajectories.

    .. math:: L = \frac1{|O|} \sum_{(k, t, n) \in O} -\log \frac{e^{f_k(z_{t+k}, c_t)}}
        {e^{f_k(z_{t+k}, c_t)} + \sum_{i \le m} e^{f_k(z^-_i, c_t)}}

    over all offsets and steps (ContraBAR, arXiv 2306.02418); the caller scores them, each offset by a network of its
    own.

    Args:
        positive: (O,) scores of what follows.
        negatives: (O, m) scores of what happened elsewhere.

    Returns:
        A scalar, at least 0.
    """
    positive, negatives = floating(positive=positive, negatives=negatives)
    if positive.ndim != 1 or negatives.ndim != 2 or len(negatives) != len(positive) or not negatives.numel():
        raise ValueError(
            f"positive must be (O,) and negatives (O, m), got {tuple(positive.shape)} and {tuple(negatives.shape)}"
        )
    everything = negatives.logsumexp(1).logaddexp(positive)
    return (everything - positive).mean()
