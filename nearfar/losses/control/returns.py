"""Denoised states towards those of high return: CDiffuser."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, inverse_temperature


@full_precision
def return_contrast(
    states: Tensor,
    positives: Tensor,
    negatives: Tensor | None,
    *,
    temperature: float | Tensor = 0.1,
    include_positive: bool = False,
) -> Tensor:
    r"""Steps of a plan are pulled to states of high return and pushed from those of low return.

    .. math::
        L = \frac1B \sum_b -\log \frac{\frac1{K^2} \sum_{kh} w_h c^+_{kh}}{\frac1K \sum_{kh} w_h c^-_{kh}}, \qquad
        c_{kh} = e^{\cos(e(s_h), e(s_{kh})) / \tau}, \quad w_h = \frac1{h + 1}

    CDiffuser (arXiv 2402.02772; released as ContraDiff, ``models/diffusion.py``), whose numerator has one K more. The
    ratio is unbounded below: keep its weight small and watch it.

    Args:
        states: (B, H, E) codes of the denoised states, the clamped first one included.
        positives: (B, K, H, E) codes of states of high return.
        negatives: (B, K, H, E) codes of states of low return; ``None`` for no negatives.
        temperature: a positive float or a 0-d tensor.
        include_positive: the numerator joins the denominator (``hardnce``).
    """
    given = {"states": states, "positives": positives} | ({} if negatives is None else {"negatives": negatives})
    lifted = floating(**given)
    states, positives = lifted[:2]
    if states.ndim != 3:
        raise ValueError(f"states must be (B, H, E), got {tuple(states.shape)}")
    for name, other in zip(list(given)[1:], lifted[1:], strict=True):
        if other.ndim != 4 or (other.shape[0], *other.shape[2:]) != tuple(states.shape):
            raise ValueError(f"{name} must be (B, K, H, E) like states {tuple(states.shape)}, got {tuple(other.shape)}")
    scale = inverse_temperature(temperature, states)
    weight = 1 / torch.arange(1, states.shape[1] + 1, device=states.device, dtype=states.dtype)

    def mass(other: Tensor) -> Tensor:
        """(B,) the logarithm of the weighted sum."""
        scores = F.cosine_similarity(states[:, None], other, dim=-1, eps=1e-12) * scale
        return (scores + weight.log()).flatten(1).logsumexp(1)

    count = float(positives.shape[1])
    upper = mass(positives) - 2 * torch.tensor(count, dtype=states.dtype, device=states.device).log()
    if negatives is None:
        return -upper.mean()
    lower = mass(lifted[2]) - torch.tensor(float(negatives.shape[1]), dtype=states.dtype, device=states.device).log()
    if include_positive:
        lower = torch.logaddexp(lower, upper)
    return (lower - upper).mean()
