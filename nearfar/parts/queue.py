"""A first-in first-out queue of past keys: many negatives for small batches (MoCo)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureQueue(nn.Module):
    """The last ``size`` keys, L2-normalised, as a ring buffer that travels with the checkpoint.

    It starts filled with normalised Gaussian noise, as the released MoCo code does. Enqueue *after* the loss
    has been computed: the queue must not hold the keys that are this step's positives.

    Args:
        size: number of keys kept (K in MoCo), at least 1.
        dim: width of a key.
    """

    keys: Tensor
    position: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1 or dim < 1:
            raise ValueError(f"size and dim must be at least 1, got size={size}, dim={dim}")
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return self.keys.shape[0]

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Write ``keys`` (N, dim) over the oldest ones; of more than ``size`` keys the last ``size`` stay.

        Any batch size is accepted: the ring wraps around.
        """
        if keys.ndim != 2 or keys.shape[1] != self.keys.shape[1]:
            raise ValueError(f"expected keys of shape (N, {self.keys.shape[1]}), got {tuple(keys.shape)}")
        keys = F.normalize(keys.detach().to(self.keys.dtype), dim=1)[-len(self) :]
        slots = (self.position + torch.arange(len(keys), device=keys.device)) % len(self)
        self.keys[slots] = keys
        self.position.copy_((self.position + len(keys)) % len(self))
