"""What walks meet, decoded from where they began: InfoAlign."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, mean_where, paired, whole_numbers

__all__ = ["gaussian_bottleneck", "walk_alignment"]


@full_precision
def walk_alignment(logits: Tensor, met: Tensor, owner: Tensor, weights: Tensor) -> Tensor:
    r"""Features in [0, 1] of what random walks met, predicted from the examples they started at (arXiv 2406.12056).

    .. math:: L = \operatorname{mean}_{m, d} \; \alpha_m \operatorname{BCE}(x_{o(m) d}, y_{md})

    over the entries that are known, with :math:`\alpha` the product of the weights of a walk's edges so far. Released
    code: ``utils/train_funcs.py``, ``pretrain_loss_ce``, where every node of a walk is a row and NaN where it is of
    another kind; here rows are only what was met of this kind, which gives the same mean. No gradient reaches what was
    met or the weights.

    Args:
        logits: (B, D), the decoder's for each example.
        met: (M, D) in [0, 1], NaN where unknown; M may be 0.
        owner: (M,) integers in [0, B), the example whose walk it was.
        weights: (M,), at least 0.

    Returns:
        A scalar, 0 where nothing is known.

    Raises:
        TypeError: a dtype that is not floating, or owners that are no integers.
        ValueError: shapes that do not fit.
    """
    (x,) = embeddings(logits=logits)
    if met.ndim != 2 or met.shape[1] != x.shape[1] or weights.shape != met.shape[:1]:
        raise ValueError(
            f"met must have shape (M, {x.shape[1]}) and weights (M,), got {tuple(met.shape)} and {tuple(weights.shape)}"
        )
    whole_numbers("owner", owner, tuple(met.shape[:1]), at_least=0)
    if not len(met):
        return x.sum() * 0.0
    target = met.detach().to(x.dtype)
    known = ~target.isnan()
    each = F.binary_cross_entropy_with_logits(x[owner], torch.where(known, target, 0.0), reduction="none")
    return mean_where(each * weights.detach().to(x.dtype)[:, None], known)


@full_precision
def gaussian_bottleneck(mean: Tensor, deviation: Tensor, sample: Tensor) -> Tensor:
    r"""How much more likely a sample is where it was drawn than under the prior.

    .. math:: L = \operatorname{mean}_i \big[ \log N(z_i; \mu_i, \sigma_i) - \log N(z_i; 0, 1) \big]

    summed over dimensions: an estimate of the divergence of a Gaussian from the standard one, by which the information
    in z is bounded (arXiv 1612.00410; InfoAlign's ``prior_criterion``). The sample is
    :math:`\mu + \sigma \varepsilon`, through which the gradient goes.

    Args:
        mean, deviation: (B, D), deviations above 0.
        sample: (B, D).

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that do not fit.
    """
    mean, deviation, sample = paired(mean=mean, deviation=deviation, sample=sample)
    own = -0.5 * ((sample - mean) / deviation).square() - deviation.log() - 0.5 * math.log(2 * math.pi)
    prior = -0.5 * sample.square() - 0.5 * math.log(2 * math.pi)
    return (own - prior).sum(1).mean()
