"""A memory with a row for every example of the collection (CMC, instance discrimination)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceMemory(nn.Module):
    """The running embedding of every example, which travels with the checkpoint and holds no gradients.

    Rows start uniform in ``+-1 / sqrt(dim / 3)``, which makes them about as long as a unit vector, and are unit vectors
    once they were updated: ``m <- n(momentum m + (1 - momentum) z)``. Update *after* the loss has been computed.

    Args:
        size: examples of the collection, at least 1.
        dim: width of an embedding.
        momentum: share of the old row, in [0, 1]; 0.5 in CMC.
    """

    rows: Tensor

    def __init__(self, size: int, dim: int, momentum: float = 0.5) -> None:
        super().__init__()
        if size < 1 or dim < 1:
            raise ValueError(f"size and dim must be at least 1, got size={size}, dim={dim}")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}")
        bound = 1 / math.sqrt(dim / 3)
        self.register_buffer("rows", torch.empty(size, dim).uniform_(-bound, bound))
        self.momentum = momentum

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def update(self, index: Tensor, embeddings: Tensor) -> None:
        """Move rows ``index`` (N,) towards ``embeddings`` (N, dim), which are normalised; of a row twice, the last."""
        if embeddings.shape != (len(index), self.rows.shape[1]):
            raise ValueError(
                f"expected embeddings of shape ({len(index)}, {self.rows.shape[1]}), got {tuple(embeddings.shape)}"
            )
        new = F.normalize(embeddings.detach().to(self.rows.dtype), dim=1)
        moved = self.momentum * self.rows[index] + (1 - self.momentum) * new
        self.rows[index] = F.normalize(moved, dim=1)
