"""Contrast whose negatives have weights, and contrast with the centres of clusters (MEOW, AdaMEOW)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, inverse_temperature, number, paired, tensors, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks

Weights = Tensor | Callable[[Tensor, Tensor, int], Tensor]


@full_precision
def weighted_contrast(
    a: Tensor, b: Tensor, weights: Weights, *, temperature: float | Tensor, normalize: bool = True
) -> Tensor:
    r"""InfoNCE in which every pair has a weight (MEOW; released code, ``module/contrast.py``).

    .. math::
        -\frac{1}{N} \sum_i \Big[ s_{ii} - \log \sum_j w_{ij} e^{s_{ij}} \Big], \qquad s_{ij} = a_i \cdot b_j / \tau

    With ``w_ii = 0`` the positive is outside the sum. If weights are learned the value has no lower bound: all weights
    may go to 0.

    Args:
        a: (N, D), the rows that ask.
        b: (N, D), row i the positive of row i.
        weights: (N, N) at least 0, or a function of some rows of ``a``, all of ``b`` and the number of the first row
            that gives them for those rows; it is then never held whole.
        temperature: divides the products.
        normalize: L2-normalise every row first.

    Returns:
        A scalar. A row whose weights are all 0 counts as one weight of 1e-12.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or a temperature that do not fit.
    """
    a, b = paired(a=a, b=b)
    scale = inverse_temperature(temperature, a)
    if isinstance(weights, Tensor) and weights.shape != (len(a), len(a)):
        raise ValueError(f"weights must have shape {(len(a), len(a))}, got {tuple(weights.shape)}")
    if normalize:
        a, b = unit_rows(a), unit_rows(b)

    def block(rows: Tensor, everything: Tensor, first: int) -> Tensor:
        if isinstance(weights, Tensor):
            mine = weights[first : first + len(rows)].to(rows.dtype)
        else:
            mine = weights(rows, everything, first)
        logits = rows @ everything.T * scale
        peak = logits.detach().amax(1, keepdim=True)
        total = (mine * (logits - peak).exp()).sum(1).clamp_min(1e-12)
        return total.log() + peak.squeeze(1) - logits.diagonal(first)

    return in_row_blocks(block, a, b).mean()


@tensors
def together_weights(assignments: Tensor) -> Tensor:
    """(N, N): of R clusterings how many keep two rows apart, 0 on the diagonal (MEOW's hard negatives).

    Args:
        assignments: (R, N) clusters.
    """
    if assignments.ndim != 2 or assignments.is_floating_point():
        raise ValueError(f"assignments must be whole numbers (R, N), got {tuple(assignments.shape)}")
    return sum((row[:, None] != row[None, :]).float() for row in assignments)  # type: ignore[return-value]


@full_precision
def cluster_contrast(a: Tensor, assignment: Tensor, centres: Tensor, concentrations: Tensor) -> Tensor:
    r"""A row among the centres of clusters (ProtoNCE in MEOW's form).

    .. math::
        -\frac{1}{N} \sum_i \Big[ a_i \cdot c_{y_i} / \phi_{y_i}
            - \log\Big(\frac{N}{K} \sum_c e^{a_i \cdot c_c / \phi_c}\Big) \Big]

    Args:
        a: (N, D), used as they are.
        assignment: (N,) clusters.
        centres: (K, D).
        concentrations: (K,) phi, above 0, as :func:`concentration` makes them.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that do not fit.
    """
    a, centres = embeddings(a=a, centres=centres)
    if assignment.shape != (len(a),) or concentrations.shape != (len(centres),):
        raise ValueError(
            f"expected {len(a)} assignments and {len(centres)} concentrations, got {tuple(assignment.shape)} and "
            f"{tuple(concentrations.shape)}"
        )
    logits = a @ centres.T / concentrations.to(a.dtype)
    own = logits.gather(1, assignment.unsqueeze(1)).squeeze(1)
    return (logits.logsumexp(1) + math.log(len(a) / len(centres)) - own).mean()


@tensors
@torch.no_grad()
def concentration(closeness: Tensor, assignment: Tensor, clusters: int, *, temperature: float) -> Tensor:
    r"""How tight each cluster is, (K,), of mean ``temperature``.

    ``mean(sqrt(D_i)) / log(n + 5)`` over the members of a cluster; one of a single member or none takes the largest;
    what lies outside the 10th and 90th percentile is moved there.

    Args:
        closeness: (N,) D: in MEOW's released code the **inner product** of a row with its centre, where prototype
            methods take a distance. Negative numbers count as 0.
        assignment: (N,) clusters.
        clusters: K.
        temperature: the mean of the result, above 0.
    """
    number("temperature", temperature, above=0.0)
    if closeness.shape != assignment.shape or closeness.ndim != 1:
        raise ValueError(f"expected one closeness a row, got {tuple(closeness.shape)} and {tuple(assignment.shape)}")
    count = torch.bincount(assignment, minlength=clusters).to(closeness.dtype)
    total = torch.zeros_like(count).index_add_(0, assignment, closeness.clamp_min(0).sqrt())
    phi = total / count.clamp_min(1) / torch.log(count + 5)
    phi = torch.where(count > 1, phi, phi[count > 1].max() if (count > 1).any() else torch.ones_like(phi))
    low, high = torch.quantile(phi, torch.tensor([0.1, 0.9], dtype=phi.dtype, device=phi.device))
    phi = phi.clamp(low, high).clamp_min(1e-6)
    return temperature * phi / phi.mean()
