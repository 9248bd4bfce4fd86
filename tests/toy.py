"""A method of two dozen lines on vectors, for tests of the engine that need no field."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.losses import nt_xent
from nearfar.parts import MLPHead, MomentumEncoder
from nearfar.training import Data, Method, Optimization


class VectorBatch(NamedTuple):
    vectors: Tensor
    rows: Tensor


class Vectors(Data):
    """Gaussian blobs: class means far apart, noise around them."""

    def __init__(self, count: int = 256, dim: int = 12, classes: int = 4, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(classes, size=count)
        centres = np.random.default_rng(99).normal(size=(classes, dim)) * 2
        self.vectors = torch.tensor(centres[self.labels] + rng.normal(size=(count, dim)), dtype=torch.float32)
        self.name = "vectors"

    def __len__(self) -> int:
        return len(self.vectors)

    def batch(self, indices: np.ndarray) -> VectorBatch:
        return VectorBatch(self.vectors[indices], torch.as_tensor(indices))


class Toy(Method):
    """Noise and dropout as views, NT-Xent as loss, a momentum copy as state that gradients do not move."""

    def __init__(
        self,
        dim: int = 12,
        *,
        temperature: float = 0.5,
        dropout: float = 0.1,
        norm: str = "bn",
        optimization: Optimization = Optimization("adamw", lr=1e-2),
    ) -> None:
        super().__init__(optimization)
        self.encoder = nn.Sequential(nn.Linear(dim, 16), nn.ReLU(), nn.Dropout(dropout))
        self.head = MLPHead(16, 16, 8, norm=norm)
        self.teacher = MomentumEncoder(self.encoder, 0.9)
        self.temperature = temperature

    def views(self, batch: VectorBatch) -> tuple[Tensor, Tensor]:
        x = batch.vectors
        return tuple(x + torch.randn(x.shape, generator=self.generator) * 0.3 for _ in range(2))

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z1, z2 = self.gather(*(self.head(self.encoder(view)) for view in views))
        return nt_xent(z1, z2, temperature=self.temperature)

    def after_step(self) -> None:
        self.teacher.update(self.encoder, self.progress)

    def encode(self, batch: VectorBatch) -> Tensor:
        return self.encoder(batch.vectors)
