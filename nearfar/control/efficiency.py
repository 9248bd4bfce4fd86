"""How much what is learned depends on how many labels: demonstrations, and what a curve over their number says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from nearfar.control.data.replay import Replay
from nearfar.control.spaces import one_hot
from nearfar.control.worlds import World


def demonstrations(where: World, count: int, *, stack: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(count, ...) stacked observations met by a policy that is half random, and what the scripted one would do there,
    (count, A), choices as one-hot rows."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    rng = np.random.default_rng(seed)
    turns = 4 * -(-count // where.count) + 4
    kept = Replay(where.spaces, where.count, turns + 2)
    kept.begin(where.reset(rng))
    seen, done = [], []
    for _ in range(turns):
        told, acting = where.scripted(rng), ~where.over  # where an episode is over, nothing is done
        seen.append(kept.newest(stack)[acting])
        done.append((one_hot(told, where.spaces.actions) if where.spaces.discrete else told)[acting])
        coin = (rng.random(where.count) < 0.5).reshape(-1, *[1] * (told.ndim - 1))
        actions = np.where(coin, where.random(rng), told)
        stepped = where.step(actions, rng)
        kept.add(actions, stepped.rewards, stepped.terminated, stepped.over, stepped.observations)
    rows = rng.permutation(sum(map(len, seen)))[:count]
    return torch.from_numpy(np.concatenate(seen)[rows]), torch.from_numpy(np.concatenate(done)[rows])


def area(curve: Mapping[int, float]) -> float:
    """The mean height of a curve over the logarithm of the number of labels, by trapezoids.

    Args:
        curve: from numbers of labels, at least two of them, to a score.
    """
    if len(curve) < 2 or min(curve) < 1:
        raise ValueError(f"a curve needs at least two numbers of labels, each at least 1, got {list(curve)}")
    sizes = np.log(sorted(curve))
    heights = np.array([curve[size] for size in sorted(curve)])
    return float(np.trapezoid(heights, sizes) / (sizes[-1] - sizes[0]))


def label_multiplier(curve: Mapping[int, float], plain: Mapping[int, float], labels: int) -> float:
    """How many times as many labels ``plain`` needs to reach what ``curve`` reaches with ``labels`` of them.

    Between its points ``plain`` is read along lines over the logarithm. Infinite where it never gets there; where its
    first point is enough, its number of labels counts.
    """
    wanted, sizes = curve[labels], sorted(plain)
    if plain[sizes[0]] >= wanted:
        return sizes[0] / labels
    for low, high in zip(sizes, sizes[1:], strict=False):
        if plain[high] >= wanted:
            part = (wanted - plain[low]) / (plain[high] - plain[low])
            return float(np.exp(np.log(low) + part * np.log(high / low)) / labels)
    return float("inf")
