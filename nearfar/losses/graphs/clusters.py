"""Soft clusters by distance and their sharpened target (DEC)."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, tensors


@full_precision
def student_assignments(z: Tensor, centres: Tensor) -> Tensor:
    r"""How much each row belongs to each centre, (N, K), rows summing to 1 (DEC, arXiv 1511.06335, equation 1).

    .. math::
        q_{ik} = \frac{(1 + \|z_i - \mu_k\|^2)^{-1}}{\sum_{k'} (1 + \|z_i - \mu_{k'}\|^2)^{-1}}

    Args:
        z: (N, D). centres: (K, D).
    """
    z, centres = embeddings(z=z, centres=centres)
    near = 1 / (1 + torch.cdist(z, centres, compute_mode="donot_use_mm_for_euclid_dist").square())
    return near / near.sum(1, keepdim=True)


@tensors
def sharpened(q: Tensor) -> Tensor:
    r"""DEC's target, :math:`p_{ik} \propto q_{ik}^2 / \sum_i q_{ik}`, without gradient."""
    p = q.detach().square() / q.detach().sum(0)
    return p / p.sum(1, keepdim=True)


@full_precision
def cluster_divergence(z: Tensor, centres: Tensor, target: Tensor) -> Tensor:
    """``KL(target || q)``, averaged over rows, for the assignments q of :func:`student_assignments`.

    Args:
        z: (N, D). centres: (K, D).
        target: (N, K), rows summing to 1, as :func:`sharpened` makes them now and then.

    Raises:
        ValueError: shapes that do not fit.
    """
    q = student_assignments(z, centres)
    if target.shape != q.shape:
        raise ValueError(f"target must have shape {tuple(q.shape)}, got {tuple(target.shape)}")
    p = target.detach().to(q.dtype)
    return (torch.xlogy(p, p) - p * q.clamp_min(torch.finfo(q.dtype).tiny).log()).sum() / len(z)
