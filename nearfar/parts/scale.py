"""A learnable temperature, as CLIP has it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LogitScale(nn.Module):
    """The inverse temperature s, stored as ln s so that it stays positive; a scalar, so it is not decayed.

    Args:
        temperature: the temperature 1/s at the start, above 0; 0.07 in CLIP.
        max_scale: s is kept at most this by :meth:`clamp`; 100 in CLIP.
    """

    def __init__(self, temperature: float = 0.07, max_scale: float = 100.0) -> None:
        super().__init__()
        if not temperature > 0 or not max_scale > 0:
            raise ValueError(f"temperature and max_scale must be above 0, got {temperature} and {max_scale}")
        self.log_scale = nn.Parameter(torch.tensor(math.log(1.0 / temperature)))
        self.max_scale = max_scale

    @property
    def temperature(self) -> Tensor:
        """1/s, through which gradients flow."""
        return torch.exp(-self.log_scale)

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep s in [1, max_scale]; call it after every step."""
        self.log_scale.clamp_(0.0, math.log(self.max_scale))
