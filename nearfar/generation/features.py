"""Encoders for the distance between sets of pictures, by name. None is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (24, 32, 40)


class RandomConvolutions(nn.Module):
    """Three convolutions whose weights were drawn once and never learned, with the mean and the spread of each map.

    Features of random convolutions order generators much as learned ones do where pictures are small and simple; of
    photographs take an encoder that knows some.
    """

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(20_240)
            self.layers = nn.ModuleList(
                nn.Conv2d(a, b, 3, padding=1) for a, b in zip((3, *WIDTHS), WIDTHS, strict=False)
            )
            for layer in self.layers:
                nn.init.orthogonal_(layer.weight, gain=1.4)  # type: ignore[arg-type]
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] to (N, 192)."""
        x = images * 2 - 1
        found = []
        for number, layer in enumerate(self.layers):
            x = F.leaky_relu(layer(F.avg_pool2d(x, 2) if number else x), 0.2)
            found += [x.mean((2, 3)), x.flatten(2).std(2)]
        return torch.cat(found, 1)


@lru_cache(maxsize=4)
def feature_encoder(name: str) -> tuple[str, Callable[[Tensor], Tensor]]:
    """An encoder of pictures, with the name that goes beside a distance.

    Args:
        name: ``random`` for :class:`RandomConvolutions`, else what :func:`nearfar.encoders.image_encoder` knows (a
            folder of transformers, ``hf:<model>``).
    """
    if name == "random":
        return "random convolutions", RandomConvolutions().eval()
    from nearfar.encoders import image_encoder

    return name, image_encoder(name).eval()


@torch.no_grad()
def features(pictures: np.ndarray, encoder: str = "random", *, batch_size: int = 128) -> np.ndarray:
    """Features (N, D) float64 of pictures (N, H, W, 3) uint8."""
    _, encode = feature_encoder(encoder)
    x = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
    found = [encode(part.float() / 255 if encoder == "random" else part) for part in x.split(batch_size)]
    return torch.cat(found).double().numpy()
