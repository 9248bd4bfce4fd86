"""How much two annotations have in common: paths of a hierarchy, and sets of what they say."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence, Set

import torch
from torch import Tensor

__all__ = ["dice_of_paths", "jaccard", "multi_hot"]


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


def multi_hot(sets: Iterable[Set[Hashable]]) -> Tensor:
    """Sets as rows (N, elements) of 0 and 1, over the elements that occur."""
    rows = [*sets]
    places = {element: place for place, element in enumerate(dict.fromkeys(e for row in rows for e in row))}
    found = torch.zeros(len(rows), max(len(places), 1), dtype=torch.float64)
    for number, row in enumerate(rows):
        found[number, [places[element] for element in row]] = 1.0
    return found


def jaccard(sets: Iterable[Set[Hashable]]) -> Tensor:
    """Of any two sets the share of their elements that is in both: (N, N) in [0, 1], 0 where both are empty."""
    rows = multi_hot(sets)
    both = rows @ rows.t()
    size = rows.sum(1)
    return both / (size.unsqueeze(1) + size - both).clamp_min(1)
