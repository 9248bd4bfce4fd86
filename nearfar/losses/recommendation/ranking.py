"""A thing that was chosen must score higher than one that was not."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, full_precision


@full_precision
def bpr(chosen: Tensor, other: Tensor) -> Tensor:
    r"""Bayesian personalised ranking: ``mean_i softplus(other_i - chosen_i)`` (Rendle et al., 2009, arXiv 1205.2618).

    The same as :math:`-\log \sigma(s^+ - s^-)`. The score of a user and an item is usually their dot product.

    Args:
        chosen: (B,) scores of what was chosen.
        other: (B,) scores of what was drawn as its negative.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that differ, or no scores.
    """
    chosen, other = floating(chosen=chosen, other=other)
    if chosen.shape != other.shape or chosen.ndim != 1 or not len(chosen):
        raise ValueError(
            f"chosen and other must be equally many scores (B,), got {tuple(chosen.shape)} and {tuple(other.shape)}"
        )
    return F.softplus(other - chosen).mean()
