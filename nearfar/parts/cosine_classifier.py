"""A linear classifier whose logits are scaled cosines."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class CosineClassifier(nn.Linear):
    """``scale`` times the cosine of a representation with each class's weight: no class is ahead by its norm.

    Args:
        dim: width of the representation.
        classes: their number K.
        scale: multiplies the cosines, above 0; the inverse of a temperature.

    Shape: ``(N, dim) -> (N, K)``.
    """

    def __init__(self, dim: int, classes: int, scale: float = 1.0) -> None:
        if dim < 1 or classes < 1 or not scale > 0:
            raise ValueError(f"dim and classes must be at least 1 and scale above 0, got {dim}, {classes}, {scale}")
        super().__init__(dim, classes, bias=False)
        self.scale = scale

    @property
    def directions(self) -> Tensor:
        """The classes' weights (K, dim) at length 1, through which gradients flow."""
        return F.normalize(self.weight, dim=1)

    def forward(self, input: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(input, dim=1), self.directions)
