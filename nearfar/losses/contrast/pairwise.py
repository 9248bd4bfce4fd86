"""Every pair a yes-or-no decision: the sigmoid loss of SigLIP."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, number, paired, unit_rows
from nearfar.losses.engine.softplus import softplus_row_sums


@full_precision
def sigmoid_pair_loss(
    a: Tensor, b: Tensor, *, temperature: float | Tensor, bias: float | Tensor, normalize: bool = True
) -> Tensor:
    r"""Sigmoid loss for pairs (SigLIP, arXiv 2303.15343; open_clip, ``SigLipLoss``).

    .. math::
        L = -\frac1N \sum_i \sum_j \log \sigma\big( w_{ij} ( a_i \cdot b_j / \tau + \beta ) \big),
        \qquad w_{ij} = +1 \text{ if } i = j \text{ else } -1,

    rows L2-normalised; divided by N, not by N^2. Start with temperature 0.1 and bias -10: with a bias of 0
    the N^2 - N negatives dominate the first steps. There is no sum over the batch inside a logarithm, so it
    suffers less from small batches than :func:`symmetric_info_nce`. Memory is linear in N.

    Args:
        a: (N, D), one modality.
        b: (N, D), row i the counterpart of row i of ``a``.
        temperature: a positive float or a 0-d tensor (``exp(-t')`` of the paper's learnt t').
        bias: added to every logit; a float or a 0-d tensor that may need a gradient.
        normalize: L2-normalise every row first; ``False`` takes inner products as they are, and the temperature still
            divides them.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating, or a bias that is no number.
        ValueError: shapes, devices or a temperature that do not fit.
    """
    a, b = paired(a=a, b=b)
    scale = inverse_temperature(temperature, a)
    if isinstance(bias, Tensor):
        if bias.ndim != 0 or not bias.is_floating_point():
            raise ValueError(
                "bias must be a float or a 0-d floating-point tensor, "
                f"got a tensor of shape {tuple(bias.shape)} and dtype {bias.dtype}"
            )
        shift = bias.to(device=a.device, dtype=a.dtype)
    else:
        shift = a.new_full((), number("bias", bias))
    left, right = (unit_rows(a, scale), unit_rows(b)) if normalize else (a * scale, b)
    positive = (left * right).sum(1) + shift
    return (softplus_row_sums(left, right, shift) - F.logsigmoid(positive)).mean()
