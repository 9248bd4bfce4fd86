"""Prototypes: learnable cluster centres on the unit sphere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Prototypes(nn.Linear):
    """Cosine scores of embeddings with ``count`` learnable directions, the rows of ``weight`` (count, dim).

    Call :meth:`normalize_` before every forward of a training step: the optimiser moves rows off the sphere, and
    the released SwAV code brings them back without a gradient through it.

    Args:
        dim: width of an embedding, at least 1.
        count: number of prototypes (K), at least 1.

    Shape: ``(N, dim) -> (N, count)``; embeddings are L2-normalised inside.
    """

    def __init__(self, dim: int, count: int) -> None:
        if dim < 1 or count < 1:
            raise ValueError(f"dim and count must be at least 1, got dim={dim}, count={count}")
        super().__init__(dim, count, bias=False)
        self.normalize_()

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 2 or input.shape[1] != self.in_features:
            raise ValueError(f"expected embeddings of shape (N, {self.in_features}), got {tuple(input.shape)}")
        return F.linear(F.normalize(input, dim=1), self.weight)

    @torch.no_grad()
    def normalize_(self) -> None:
        """Scale every prototype to length 1, in place."""
        self.weight.copy_(F.normalize(self.weight, dim=1))
