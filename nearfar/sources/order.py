"""Orders of an epoch in which equal examples do not meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["apart"]


def apart(values: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """A random order of all positions in which equal values are as far from one another as their number allows.

    A loss within a batch pushes different examples apart, and equal ones too when they meet. The copies of a value
    that is there c times of N are about N / c places from one another, so a batch of B examples holds one twice only
    where B is near N / c or above. Without equal values this is a plain permutation.
    """
    _, group, counts = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True, return_counts=True)
    if len(counts) == len(values):
        return rng.permutation(len(values))
    shuffled = rng.permutation(len(values))
    offset = rng.random(len(counts))
    by_group = shuffled[np.argsort(group[shuffled], kind="stable")]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    copy = np.arange(len(values)) - np.repeat(first, counts)
    of = group[by_group]
    return by_group[np.argsort((copy + offset[of]) / counts[of], kind="stable")]
