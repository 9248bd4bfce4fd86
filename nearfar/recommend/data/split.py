"""Which choices of a user are held out."""

from __future__ import annotations

from typing import Literal

import numpy as np

Split = Literal["random", "time"]


def held_out(users: np.ndarray, times: np.ndarray | None, split: Split, share: float, seed: int = 0) -> np.ndarray:
    """Of every user a share of the interactions: any of them, or the latest. Everybody keeps one or more.

    Args:
        users: (N,) rows of users.
        times: (N,) when each interaction was; needed by the split by time. Equal times keep their order.
        split: ``random`` or ``time``.
        share: in [0, 1); of n interactions ``floor(share * n)`` are held out.
        seed: of the random split.

    Returns:
        (N,) bool.

    Raises:
        ValueError: a share out of range, a split by time without times.
    """
    if not 0 <= share < 1:
        raise ValueError(f"holdout is the share of each user's interactions that is held out, in [0, 1); got {share}")
    if split not in ("random", "time"):
        raise ValueError(f"split must be 'random' or 'time', got {split!r}")
    if split == "time" and times is None:
        raise ValueError("a split by time needs a column time or timestamp; there is none, so give --split random")
    key = np.random.default_rng(seed).random(len(users)) if split == "random" or times is None else times
    order = np.lexsort((np.arange(len(users)), key, users))
    counts = np.bincount(users)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.arange(len(users)) - first[users[order]]
    mask = np.zeros(len(users), dtype=bool)
    mask[order] = place >= counts[users[order]] - np.floor(share * counts[users[order]])
    return mask
