"""Directions of change that mean the same in every picture."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, inverse_temperature, unit_rows


@full_precision
def direction_contrast(edits: Tensor, anchor: int = 0, *, temperature: float | Tensor = 0.5) -> Tensor:
    r"""NoiseCLR's contrast of what directions change (Dalva and Yanardag 2024, arXiv 2312.05390).

    With :math:`d^k_i` what direction k changes in picture i and a the anchor:

    .. math:: -\log \frac{\operatorname{mean}_{i < j} \exp(\cos(d^a_i, d^a_j) / \tau)}
                         {\operatorname{mean}_{i, l \ne a} \exp(\cos(d^a_i, d^l_i) / \tau)}

    A direction changes different pictures alike, and a picture otherwise than other directions do. It is a ratio of
    means as released, no softmax: the positive is not in the denominator, and its value lies within :math:`2 / \tau` of
    zero.

    Args:
        edits: (K, N, D), K directions at least 2, N pictures at least 2; not normalised.
        anchor: the row a.
        temperature: tau, above 0.

    Returns:
        A scalar.

    Raises:
        ValueError: other shapes, or an anchor that is no row. TypeError: edits that are not floating.
    """
    (edits,) = floating(edits=edits)
    if edits.ndim != 3 or len(edits) < 2 or edits.shape[1] < 2 or edits.shape[2] < 1:
        raise ValueError(
            f"edits must be (K, N, D) with at least 2 directions and 2 pictures, got {tuple(edits.shape)}; one picture "
            "alone has nothing that is changed alike"
        )
    if not 0 <= anchor < len(edits):
        raise ValueError(f"anchor must be one of the {len(edits)} directions, got {anchor}")
    inverse = inverse_temperature(temperature, edits)
    unit = unit_rows(edits)
    own = unit[anchor]
    alike = (own @ own.T) * inverse
    first, second = torch.triu_indices(len(own), len(own), 1, device=edits.device)
    others = torch.cat([unit[:anchor], unit[anchor + 1 :]])
    apart = (others * own).sum(2) * inverse
    # Logarithms of means; log(number of terms) is what makes a sum one.
    positive = alike[first, second]
    return (
        apart.flatten().logsumexp(0)
        - apart.new_tensor(apart.numel()).log()
        - positive.logsumexp(0)
        + positive.new_tensor(positive.numel()).log()
    )
