"""Two losses whose gradients pull one network apart, brought into harmony."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Harmony", "Realigned", "cosine_of", "realigned"]

Gradients = Sequence[Tensor | None]


@dataclass(frozen=True)
class Harmony:
    """What is done about gradients that disagree.

    Args:
        realign: whether each loses what it has against the other.
        curriculum: whether rows whose gradients disagree too much have no part in the step.
        start, end: the least cosine of the gradients with which rows take part, at the begin and at the end of the
            run, in [-1, 1]; linear between them.
        rows: how many rows are judged together, as those of one device were.
    """

    realign: bool = True
    curriculum: bool = True
    start: float = -0.3
    end: float = 0.0
    rows: int = 8

    def __post_init__(self) -> None:
        if not (-1 <= self.start <= 1 and -1 <= self.end <= 1) or self.rows < 1:
            raise ValueError(f"start and end must be in [-1, 1] and rows at least 1, got {self}")

    def least(self, progress: float) -> float:
        """The least cosine at a share of the run in [0, 1]; -inf without a curriculum."""
        return self.start + (self.end - self.start) * progress if self.curriculum else -torch.inf


class Realigned(NamedTuple):
    """Gradients of two losses, and the cosine that they had before."""

    first: list[Tensor | None]
    second: list[Tensor | None]
    cosine: Tensor


def cosine_of(first: Gradients, second: Gradients) -> Tensor:
    """The cosine of two gradients over the parameters that both losses reach; 0 where one of them vanishes."""
    inner, a, b = _products(first, second)
    return inner / (a * b).sqrt().clamp_min(torch.finfo(inner.dtype).tiny)


def realigned(first: Gradients, second: Gradients) -> Realigned:
    r"""Gradients of two losses without what each has against the other (arXiv 2211.02077).

    .. math::
        g_1' = g_1 - \frac{\langle g_1, g_2 \rangle}{\|g_2\|^2} g_2, \qquad
        g_2' = g_2 - \frac{\langle g_1, g_2 \rangle}{\|g_1\|^2} g_1
        \qquad \text{where } \langle g_1, g_2 \rangle < 0,

    both with the other as it was. Gradients that agree come back as they are.

    Args:
        first, second: gradients of the same parameters, ``None`` where a loss does not reach one. Only what both reach
            is compared and changed.

    Raises:
        ValueError: gradients of unlike parameters, or of none that both reach.
    """
    inner, a, b = _products(first, second)
    tiny = torch.finfo(inner.dtype).tiny
    against = inner.clamp_max(0)
    of_first, of_second = against / b.clamp_min(tiny), against / a.clamp_min(tiny)
    pairs = [*zip(first, second, strict=True)]
    return Realigned(
        [g if g is None or h is None else g - of_first * h for g, h in pairs],
        [h if g is None or h is None else h - of_second * g for g, h in pairs],
        inner / (a * b).sqrt().clamp_min(tiny),
    )


def _products(first: Gradients, second: Gradients) -> tuple[Tensor, Tensor, Tensor]:
    """The inner product and the squared lengths, over what both reach."""
    if len(first) != len(second):
        raise ValueError(f"gradients of the same parameters are compared, got {len(first)} and {len(second)}")
    pairs = [(g.flatten(), h.flatten()) for g, h in zip(first, second, strict=True) if g is not None and h is not None]
    if not pairs:
        raise ValueError("no parameter has gradients of both losses, so there is nothing to compare")
    return (
        torch.stack([g @ h for g, h in pairs]).sum(),
        torch.stack([g @ g for g, _ in pairs]).sum(),
        torch.stack([h @ h for _, h in pairs]).sum(),
    )
