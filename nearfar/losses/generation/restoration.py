"""A restored picture between sharp and blurred ones, and a critic that tells real from made in both directions."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, floating, full_precision, inverse_temperature


@full_precision
def informative_contrast(
    restored: Tensor,
    positives: Tensor,
    negatives: Tensor,
    *,
    temperature: float | Tensor = 1.0,
    form: Literal["infonce", "difference"] = "infonce",
) -> Tensor:
    r"""Features of a restored picture, pulled to those of sharp versions and off those of blurred ones (PCL-SR,
    arXiv 2111.13924; ``src/loss/adversarial.py``, ``nce`` and ``cl_loss``).

    With :math:`s(a, b)` of a picture the mean over places of the cosine of the features there:

    .. math::
        L = \operatorname{mean}_{b} \operatorname{mean}_{p} -\log \frac{e^{s(f, f^+_p) / \tau}}
            {e^{s(f, f^+_p) / \tau} + \sum_m e^{s(f, f^-_m) / \tau}}

    Cosines over a temperature of 1, as released, leave little to gain: with 4 negatives L is between 0.43 and 3.4.

    Args:
        restored: (B, C, h, w) features.
        positives: (P, B, C, h, w), of the same pictures.
        negatives: (M, B, C, h, w), of the same pictures. Detach both.
        temperature: divides the mean cosines, above 0.
        form: ``difference`` is the released code's other form, the mean of s over negatives less that over positives;
            the temperature plays no part in it.

    Returns:
        A scalar.

    Raises:
        TypeError: features that are not floating.
        ValueError: shapes, devices, a temperature or a word that do not fit.
    """
    choice("form", form, ("infonce", "difference"))
    restored, positives, negatives = floating(restored=restored, positives=positives, negatives=negatives)
    for name, each in (("positives", positives), ("negatives", negatives)):
        if restored.ndim != 4 or each.ndim != 5 or each.shape[1:] != restored.shape or each.numel() == 0:
            raise ValueError(
                f"{name} must have shape (K, B, C, h, w) for restored of shape (B, C, h, w), got {tuple(each.shape)} "
                f"and {tuple(restored.shape)}"
            )
    scale = inverse_temperature(temperature, restored)
    unit = F.normalize(restored, dim=1)
    near, far = ((F.normalize(each, dim=2) * unit).sum(2).mean((2, 3)) for each in (positives, negatives))
    if form == "difference":
        return far.mean() - near.mean()
    # The logarithm of each positive's share is a softplus of how far the negatives together are ahead of it.
    return F.softplus(torch.logsumexp(far * scale, 0) - near * scale).mean()


@full_precision
def dual_contrast(real: Tensor, made: Tensor) -> Tensor:
    r"""A critic's scores: each real thing against all that were made, and each made thing against all real ones
    (PCL-SR; ``src/loss/adversarial.py``, ``contrastive_D_loss``; the dual contrast of arXiv 2104.10283).

    .. math::
        L = \operatorname{mean}_i \log\Big(1 + \sum_j e^{m_j - r_i}\Big)
            + \operatorname{mean}_j \log\Big(1 + \sum_i e^{m_j - r_i}\Big)

    Args:
        real: (N,) scores, higher is more real.
        made: (M,) scores.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: scores that are not floating.
        ValueError: shapes or devices that do not fit.
    """
    real, made = floating(real=real, made=made)
    if real.ndim != 1 or made.ndim != 1 or real.numel() == 0 or made.numel() == 0:
        raise ValueError(
            f"real and made must be vectors with at least one score, got shapes {tuple(real.shape)} and "
            f"{tuple(made.shape)}"
        )
    each_real = F.softplus(torch.logsumexp(made, 0) - real).mean()
    return each_real + F.softplus(made + torch.logsumexp(-real, 0)).mean()
