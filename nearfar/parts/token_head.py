"""From states to scores of tokens: the head of masked language and image models."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TokenHead(nn.Module):
    """A linear map, GELU, layer norm and a linear map to the vocabulary, as BERT's and FLAVA's.

    Args:
        width: of the states.
        vocabulary: number of tokens.

    Shape: ``(..., width) -> (..., vocabulary)``.
    """

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.decode = nn.Linear(width, vocabulary)
        for layer in (self.dense, self.decode):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor) -> Tensor:
        return self.decode(self.norm(F.gelu(self.dense(states))))
