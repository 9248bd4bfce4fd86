"""What codes should be distributed like."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Prior = Literal["normal", "mixture", "roll"]
CENTRES = 10
RADIUS = 1.4
TURNS = 4 * math.pi


def check_prior(prior: Prior, dim: int) -> None:
    """Raises:
    ValueError: an unknown prior, or one of pairs of numbers for a code of an odd width.
    """
    if prior not in ("normal", "mixture", "roll"):
        raise ValueError(f"prior must be 'normal', 'mixture' or 'roll', got {prior!r}")
    if prior != "normal" and dim % 2:
        raise ValueError(f"the prior {prior!r} is of pairs of numbers, and the code has an odd width: {dim}")


def prior_sample(prior: Prior, normal: Tensor, uniform: Tensor) -> Tensor:
    """Draws (N, D) of a prior from draws of its own.

    ``mixture`` is ten Gaussians around a circle, long towards its middle, ``roll`` a spiral of two turns, both of every
    pair of numbers by itself (Makhzani et al. 2015, as InfoDiffusion's released code has them).

    Args:
        normal: (N, D) standard normal.
        uniform: (N, D) in [0, 1); ``normal`` does not read it.
    """
    if prior == "normal":
        return normal
    if prior == "roll":
        root = uniform[:, ::2].sqrt()
        pairs = torch.stack([3 * root * (TURNS * root).cos(), 3 * root * (TURNS * root).sin()], 2)
        return pairs.flatten(1)
    x, y = 0.5 * normal[:, ::2], 0.1 * normal[:, 1::2]
    turn = (uniform[:, ::2] * CENTRES).floor() * (2 * math.pi / CENTRES)
    across = x * turn.cos() - y * turn.sin() + RADIUS * turn.cos()
    up = x * turn.sin() + y * turn.cos() + RADIUS * turn.sin()
    return torch.stack([across, up], 2).flatten(1)
