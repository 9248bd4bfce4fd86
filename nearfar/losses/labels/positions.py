"""Labels times a kernel on positions: similar pictures have the same weak label at a similar place."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, number, tensors
from nearfar.losses.contrast.weighted import weighted_supcon


@tensors
def position_weights(labels: Tensor, positions: Tensor, *, sigma: float, kernel: str = "rbf") -> Tensor:
    r"""How much of a positive each pair of rows is: equal labels times a kernel of their positions.

    Args:
        labels: (N,) class numbers.
        positions: (N, P), in the unit of ``sigma``.
        sigma: width of the kernel, above 0; very large, only labels count.
        kernel: ``rbf``, :math:`e^{-\|d_i - d_j\|^2 / 2 \sigma^2}`, or ``laplacian``,
            :math:`e^{-\|d_i - d_j\|_1 / 2 \sigma^2}`.

    Returns:
        (N, N) in [0, 1]; 1 on the diagonal.
    """
    choice("kernel", kernel, ("rbf", "laplacian"))
    sigma = number("sigma", sigma, above=0.0)
    apart = positions[:, None] - positions
    distance = apart.square().sum(2) if kernel == "rbf" else apart.abs().sum(2)
    return torch.exp(-distance / (2 * sigma**2)) * (labels[:, None] == labels)


@full_precision
def wsp(
    z1: Tensor,
    z2: Tensor,
    labels: Tensor,
    positions: Tensor,
    *,
    sigma: float,
    temperature: float = 0.1,
    kernel: str = "rbf",
    normalise: str = "row",
) -> Tensor:
    r"""Weakly supervised positional contrast (WSP, arXiv 2307.04617).

    .. math::
        L = -\frac{1}{N} \sum_{i=1}^{2N} \sum_{j \ne i} \frac{w_{ij}}{\sum_{k \ne i} w_{ik}}
            \log \frac{e^{z_i \cdot z_j / \tau}}{\sum_{k \ne i} e^{z_i \cdot z_k / \tau}}

    with w of :func:`position_weights`; the two views of a picture are at one place. It is twice the mean over rows.
    The released code divides each weight by the sum of the *other* row (``normalise="column"``), which makes popular
    positives count less.

    Args:
        z1, z2: (N, D), both views.
        labels: (N,) weak labels.
        positions: (N, P).
        sigma, kernel: see :func:`position_weights`.
        temperature: above 0.
        normalise: ``row``, the paper's, or ``column``, the released code's.
    """
    choice("normalise", normalise, ("row", "column"))
    z = torch.cat(embeddings(z1=z1, z2=z2))
    weights = position_weights(labels.repeat(2), positions.to(z).repeat(2, 1), sigma=sigma, kernel=kernel)
    weights = weights.clone().fill_diagonal_(0.0)
    if normalise == "column":
        weights = weights / weights.sum(0).clamp_min(torch.finfo(weights.dtype).tiny)
    divide_by = "weight" if normalise == "row" else "none"
    return 2 * weighted_supcon(z, z, weights, temperature=temperature, exclude_self=True, divide_by=divide_by)
