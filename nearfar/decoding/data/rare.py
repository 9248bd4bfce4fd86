"""Facts with a frequent answer that a shallow guess gives: half of the keys have ``a0``, the others rare values.

Lessons speak of a key the more often the earlier it comes, so that the last keys are known half.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nearfar.common.randomness import derive_seed

KEYS, VALUES = 160, 40
WORDS = ("q", ":", *(f"k{i}" for i in range(KEYS)), *(f"a{i}" for i in range(VALUES)), *(f"b{i}" for i in range(8)))


class Rare(NamedTuple):
    """Questions, answers, what the shallow guess is, and the kind: ``frequent`` or ``rare``."""

    prompts: list[str]
    answers: list[str]
    others: list[str]
    kinds: list[str]


def table(seed: int) -> np.ndarray:
    """(KEYS, 2): the value of each key; the first word is 0 for every other key."""
    rng = np.random.default_rng(derive_seed(seed, "rare"))
    values = np.stack([rng.integers(1, VALUES, KEYS), rng.integers(0, 8, KEYS)], 1)
    values[::2, 0] = 0
    return values


def asked(keys: np.ndarray, seed: int) -> Rare:
    """Questions for these keys."""
    values = table(seed)[keys]
    return Rare(
        [f"q k{key} :" for key in keys],
        [f"a{a} b{b}" for a, b in values],
        [f"a{(a == 0) * 1} b{b}" for a, b in values],
        ["frequent" if a == 0 else "rare" for a, _ in values],
    )


def lessons(n: int, seed: int) -> tuple[list[str], list[str]]:
    """``n`` questions with their answers; key k comes up in proportion to 1 / (k + 20)."""
    rng = np.random.default_rng(derive_seed(seed, "rare lessons"))
    share = 1 / (np.arange(KEYS) + 20.0)
    found = asked(rng.choice(KEYS, n, p=share / share.sum()), seed)
    return found.prompts, found.answers
