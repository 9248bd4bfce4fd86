"""PixPro's pixel propagation: every cell becomes a sum over the cells that resemble it."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.parts.heads import MLPHead


class PixelPropagation(nn.Module):
    r"""The pixel propagation module of PixPro (arXiv 2011.10043, equations 3 and 4).

    .. math::
        y_i = \sum_j \max(\cos(z_i, z_j), c)^p \; \frac{g(z_j)}{\|g(z_j)\|}

    over all cells j of the map, i among them. Similarities are those of the cells as they are; only what is summed is
    transformed by g. As in the released code the sum is not divided: the loss normalises.

    Args:
        dim: width of a cell.
        power: p, how sharply similar cells are preferred, above 0.
        clamp: c, the floor of the cosine.
        value_layers: layers of g: 0 (identity), 1 (linear) or 2 (an MLP with batch norm).

    Shape: ``(N, S, dim) -> (N, S, dim)``.
    """

    def __init__(self, dim: int, *, power: float = 2.0, clamp: float = 0.0, value_layers: Literal[0, 1, 2] = 1) -> None:
        super().__init__()
        if not power > 0:
            raise ValueError(f"power must be above 0, got {power}")
        if value_layers not in (0, 1, 2):
            raise ValueError(f"value_layers must be 0, 1 or 2, got {value_layers}")
        self.power, self.clamp = power, clamp
        self.value: nn.Module = MLPHead(dim, dim, dim, layers=value_layers) if value_layers else nn.Identity()

    def forward(self, cells: Tensor) -> Tensor:
        if cells.ndim != 3:
            raise ValueError(f"expected cells of shape (N, S, C), got {tuple(cells.shape)}")
        values = F.normalize(self.value(cells.flatten(0, 1)), dim=1).view_as(cells)
        unit = F.normalize(cells, dim=2)
        similarity = (unit @ unit.mT).clamp_min(self.clamp)
        if self.power < 1:
            similarity = similarity + 1e-6  # a root has no slope at 0
        return similarity**self.power @ values
