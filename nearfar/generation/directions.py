"""Directions of change: where they begin, and how pictures are changed along them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Editing:
    """How pictures are changed along directions.

    Args:
        steps: of sampling and of inversion, at most the model's levels.
        scale: how much of a direction's change is added; below 0 for its opposite.
        start, end: the part of the way from noise to picture on which it is added, shares in [0, 1].
        shown: how many directions, the first ones, ``generate`` makes an edit of.
    """

    steps: int = 50
    scale: float = 5.0
    start: float = 0.0
    end: float = 1.0
    shown: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1 or self.shown < 1:
            raise ValueError(
                f"edits need 0 <= start < end <= 1 and shown of at least 1, got {self.start}, {self.end}, {self.shown}"
            )


def beginnings(table: Tensor, count: int, initial: str) -> Tensor:
    """(count, D) vectors that directions begin with, drawn from torch's global generator."""
    if initial == "words":
        return table[torch.randint(len(table), (count,))]
    spread, mean = torch.std_mean(table, 0)
    return mean + spread * torch.randn(count, table.shape[1])
