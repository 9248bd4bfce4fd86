"""Orders of an epoch in which equal examples do not meet, or examples of different sources, or few shards are open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["apart", "by_source", "mixed"]


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


def by_source(sources: Sequence[str], order: np.ndarray, step: int, rng: np.random.Generator) -> np.ndarray:
    """An order whose steps hold examples of one source each; sources are drawn for each step by their sizes.

    Each source goes through its examples in the given order and begins again when fewer than a step are left, so that
    no example meets itself. Sources with fewer examples than a step are one together, and part of the smallest other
    where they are too few even then.

    Args:
        sources: of every example.
        order: all positions, in an order.
        step: examples in a step.
        rng: draws the sources.

    Returns:
        As many positions as there are examples; those behind the last whole step are the order's last.
    """
    names, of = np.unique(np.asarray(sources).astype(str), return_inverse=True)
    sizes = np.bincount(of, minlength=len(names))
    small = sizes < step
    if 0 < sizes[small].sum() < step and not small.all():
        of[small[of]] = np.argmin(np.where(small, sizes.max() + 1, sizes))
    elif small.any():
        of[small[of]] = np.argmax(small)
    rows = [order[of[order] == source] for source in np.unique(of)]
    weights = np.array([len(each) for each in rows]) / len(order)
    position, found = [0] * len(rows), []
    for source in rng.choice(len(rows), len(order) // step, p=weights):
        if position[source] + step > len(rows[source]):
            position[source] = 0
        found.append(rows[source][position[source] : position[source] + step])
        position[source] += step
    left = len(order) - step * len(found)
    return np.concatenate([*found, order[len(order) - left :]])


def mixed(shard: np.ndarray, together: int, rng: np.random.Generator) -> np.ndarray:
    """A random order of all positions that needs few shards at a time: shards in a random order, the examples of
    ``together`` of them mixed, then those of the next.

    Args:
        shard: of every position, those of a shard one after another.
        together: how many shards are mixed; 0 for all, which is a plain permutation.
        rng: draws the order.
    """
    count = int(shard[-1]) + 1 if len(shard) else 0
    if not together or together >= count:
        return rng.permutation(len(shard))
    starts, ends = np.searchsorted(shard, np.arange(count)), np.searchsorted(shard, np.arange(count), side="right")
    shards = rng.permutation(count)
    found = []
    for first in range(0, count, together):
        rows = np.concatenate([np.arange(starts[s], ends[s]) for s in shards[first : first + together]])
        found.append(rng.permutation(rows))
    return np.concatenate(found)
