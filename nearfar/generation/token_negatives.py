"""Tokens that do not belong to an example's condition: its own in another order, or those of other examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nearfar.common.share import for_examples, whole_batch


@dataclass(frozen=True)
class Contrast:
    """Negatives, and how their fit is taken away.

    Args:
        negatives: ``intra``, chunks of the example in another order, or ``inter``, other examples.
        fit: of negatives by the ``step`` of the diffusion, or by the ``sample`` that the network takes for clean.
        weight: lambda, at least 0; 5e-5 with intra and step (COCO, ImageNet), 5e-6 with inter and sample (CUB).
        count: of negatives, at least 1.
        chunks: of intra negatives, at least 2.
    """

    negatives: Literal["intra", "inter"] = "intra"
    fit: Literal["step", "sample"] = "step"
    weight: float = 5e-5
    count: int = 10
    chunks: int = 8

    def __post_init__(self) -> None:
        if self.negatives not in ("intra", "inter") or self.fit not in ("step", "sample"):
            raise ValueError(f"negatives are intra or inter and fit step or sample, got {self.negatives}, {self.fit}")
        if not self.weight >= 0 or self.count < 1 or self.chunks < 2:
            raise ValueError(
                "weight must be at least 0, count at least 1 and chunks at least 2, got "
                f"{self.weight}, {self.count} and {self.chunks}"
            )


def negative_tokens(x: Tensor, labels: Tensor, contrast: Contrast, generator: torch.Generator) -> Tensor:
    """(n, B, L): of each example other orders of its chunks, or other examples, of another class where there are some.

    Args:
        x: (B, L) tokens.
        labels: (B,) class numbers, below 0 where none is known.
        contrast: which negatives and how many; none where its weight is 0.
        generator: of the step.

    Raises:
        ValueError: more chunks than tokens.
    """
    if not contrast.weight:
        return x.new_zeros(0, *x.shape)
    if contrast.negatives == "intra":
        order = torch.rand(contrast.count, contrast.chunks, generator=generator, device=x.device)
        return torch.stack([reordered(x, each) for each in order.argsort(1)])
    every, classes = whole_batch(x), whole_batch(labels)
    score = for_examples(lambda n: torch.rand(n, len(every), generator=generator, device=x.device), len(x))
    same = (labels[:, None] >= 0) & (labels[:, None] == classes)
    nearest = (score + same.to(score)).argsort(1)
    picked = nearest[:, torch.arange(contrast.count, device=x.device) % max(len(every) - 1, 1)]
    return every[picked].transpose(0, 1)


def reordered(x: Tensor, order: Tensor) -> Tensor:
    """Tokens (B, L) with their chunks in another order; what is left over at the end stays."""
    size = x.shape[1] // len(order)
    if not size:
        raise ValueError(f"{x.shape[1]} tokens cannot be cut into {len(order)} chunks; give fewer")
    whole = x[:, : size * len(order)].unflatten(1, (len(order), size))[:, order].flatten(1)
    return torch.cat([whole, x[:, size * len(order) :]], 1)
