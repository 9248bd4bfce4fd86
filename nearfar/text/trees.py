"""How much two annotations have in common: paths of a hierarchy, and sets of what they say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["dice_of_paths", "jaccard"]


def dice_of_paths(numbers: Tensor, subsets: Sequence[Sequence[int]]) -> Tensor:
    """The mean over subsets of levels of twice the labels that two paths share there, divided by those they have.

    Args:
        numbers: (N, levels) labels inside their levels, -1 where one is not known.
        subsets: positions of levels; those of GOLF are ``[0], [1], [2], [0, 1], [1, 2], [0, 1, 2]``.

    Returns:
        (N, N) in [0, 1], with 1 on the diagonal.
    """
    known = numbers >= 0
    same = (numbers.unsqueeze(1) == numbers.unsqueeze(0)) & known.unsqueeze(1)
    total = torch.zeros(len(numbers), len(numbers), device=numbers.device)
    for subset in subsets:
        levels = [*subset]
        counts = known[:, levels].sum(1)
        total += 2 * same[..., levels].sum(2) / (counts.unsqueeze(1) + counts).clamp_min(1)
    return (total / len(subsets)).fill_diagonal_(1.0)


def jaccard(elements: Tensor) -> Tensor:
    """Of any two sets the share of their elements that is in both.

    Args:
        elements: (N, E) int64, each row a set, in which an element may stand twice; -1 where there is none.

    Returns:
        (N, N) float64 in [0, 1], 0 where both are empty.
    """
    names, places = elements.unique(return_inverse=True)
    rows = torch.zeros(len(elements), max(len(names), 1), dtype=torch.float64, device=elements.device)
    rows = rows.scatter_(1, places.view_as(elements), 1.0)[:, : len(names)][:, names >= 0]
    both, size = rows @ rows.t(), rows.sum(1)
    return both / (size.unsqueeze(1) + size - both).clamp_min(1)
