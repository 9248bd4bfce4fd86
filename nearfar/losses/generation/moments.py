"""Two samples compared as distributions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, number


@full_precision
def maximum_mean_discrepancy(x: Tensor, y: Tensor, *, bandwidth: float | Literal["official", "median"] = 1.0) -> Tensor:
    r"""Squared maximum mean discrepancy with a Gaussian kernel (Gretton et al. 2012; InfoVAE; InfoDiffusion).

    .. math:: \overline{k(x, x')} + \overline{k(y, y')} - 2\, \overline{k(x, y)}, \quad
              k(a, b) = \exp(-\|a - b\|^2 / h)

    Means over all pairs, those of a row with itself too (the biased form), so that it is at least 0. Nothing is
    normalised: lengths matter.

    Args:
        x: (N, D).
        y: (M, D).
        bandwidth: h, above 0; or ``official`` for InfoDiffusion's released kernel, which divides by D twice,
            :math:`h = D^2`, and is nearly 1 everywhere where D is 32 or more; or ``median`` for the median squared
            distance between the rows of both, held constant.

    Returns:
        A scalar.

    Raises:
        ValueError: widths that differ, a bandwidth that is neither.
    """
    x, y = embeddings(x=x, y=y)
    joined = torch.cat([x, y])
    # Centred, because the expansion of the square loses digits when the mean is far from the origin.
    joined = joined - joined.detach().mean(0)
    norms = joined.square().sum(1)
    squared = (norms[:, None] + norms - 2 * joined @ joined.T).clamp_min(0)
    # What the expansion leaves of a row's distance to itself is rounding, and grows with its length.
    squared = squared.masked_fill(torch.eye(len(joined), dtype=torch.bool, device=joined.device), 0.0)
    if bandwidth == "median":
        h: float | Tensor = _median(squared.detach())
    elif bandwidth == "official":
        h = float(x.shape[1] ** 2)
    elif isinstance(bandwidth, str):
        raise ValueError(f"bandwidth must be a number, 'official' or 'median', got {bandwidth!r}")
    else:
        h = number("bandwidth", bandwidth, above=0.0)
    weight = torch.cat([x.new_full((len(x),), 1 / len(x)), y.new_full((len(y),), -1 / len(y))])
    return weight @ torch.exp(-squared / h) @ weight


def _median(squared: Tensor) -> Tensor:
    """The median over pairs of different rows; 1 where all rows are one."""
    off = ~torch.eye(len(squared), dtype=torch.bool, device=squared.device)
    found = squared[off].median()
    return torch.where(found > 0, found, torch.ones_like(found))
