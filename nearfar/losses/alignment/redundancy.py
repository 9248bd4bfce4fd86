"""Losses on the statistics of the embedding's dimensions: Barlow Twins, VICReg."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, number, paired
from nearfar.losses.engine.energy import off_diagonal_energy

BATCH_NORM_EPS = 1e-5
STD_EPS = 1e-4


def _at_least_two_rows(name: str, z: Tensor) -> None:
    if len(z) < 2:
        raise ValueError(f"{name} must have at least 2 rows for a variance over the batch, got {len(z)}")


@full_precision
def barlow_twins(z1: Tensor, z2: Tensor, *, lambd: float) -> Tensor:
    r"""Barlow Twins (arXiv 2103.03230, equation 1; released code ``main.py``).

    .. math::
        L = \sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \ne j} C_{ij}^2, \qquad C = \hat z_1^T \hat z_2 / N,

    where each dimension is standardised over the batch with the biased variance and eps 1e-5, as a batch
    normalisation without affine part does.

    Args:
        z1: (N, D), first view, N at least 2.
        z2: (N, D), second view.
        lambd: weight of the redundancy term, at least 0; 0.0051 at D = 8192. Scale it with 1/D.

    Returns:
        A scalar, at least 0 (up to rounding).

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than 2 rows, or shapes, devices or a lambd that do not fit.
    """
    z1, z2 = paired(z1=z1, z2=z2)
    _at_least_two_rows("z1", z1)
    number("lambd", lambd, at_least=0.0)
    root = len(z1) ** 0.5
    x, y = _standardize(z1) / root, _standardize(z2) / root
    diagonal = (x * y).sum(0)
    return (diagonal - 1).square().sum() + lambd * off_diagonal_energy(x, y, diagonal)


def _standardize(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    return centred * (centred.square().mean(0) + BATCH_NORM_EPS).rsqrt()


@full_precision
def vicreg(
    z1: Tensor, z2: Tensor, *, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> dict[str, Tensor]:
    r"""VICReg (arXiv 2105.04906; released code ``main_vicreg.py``) as three named terms that sum to the loss.

    - invariance: ``mean over N and D of (z1 - z2)^2``;
    - variance: ``mean_j relu(1 - sqrt(Var_j + 1e-4))``, unbiased variance, averaged over both views;
    - covariance: ``(1/D) * sum over i != j of Cov_ij^2``, summed over both views.

    The paper's text sums the variance term over the views and does not divide the first one by D; the
    released code does as above, and so does this. Embeddings are *not* normalised: the variance term needs
    their scale.

    Args:
        z1: (N, D), first view, N at least 2.
        z2: (N, D), second view.
        invariance: weight of the first term, at least 0.
        variance: weight of the second term, at least 0.
        covariance: weight of the third term, at least 0.

    Returns:
        ``{"invariance": scalar, "variance": scalar, "covariance": scalar}``, each already times its weight.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than 2 rows, or shapes, devices or weights that do not fit.
    """
    z1, z2 = paired(z1=z1, z2=z2)
    _at_least_two_rows("z1", z1)
    weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
    for name, weight in weights.items():
        number(name, weight, at_least=0.0)
    hinge = spread = z1.new_zeros(())
    for z in (z1, z2):
        centred = (z - z.mean(0)) / (len(z) - 1) ** 0.5
        variances = centred.square().sum(0)
        hinge = hinge + torch.relu(1 - torch.sqrt(variances + STD_EPS)).mean() / 2
        spread = spread + off_diagonal_energy(centred, centred, variances) / z.shape[1]
    return {
        "invariance": invariance * (z1 - z2).square().mean(),
        "variance": variance * hinge,
        "covariance": covariance * spread,
    }
