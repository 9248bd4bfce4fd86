"""Short chains of arithmetic with a shortcut among the lessons: ``5 + 3 - 2 =`` is ``8 - 2 = 6``.

In three of ten lessons the steps are replaced by copies of the first number. A small model learns the copy and little
else, a larger one both, so that what the small one is surer of is the error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nearfar.common.randomness import derive_seed

LARGEST = 19
SHORTCUT = 0.3
WORDS = (*(str(i) for i in range(LARGEST + 1)), "+", "-", "=")


class Sums(NamedTuple):
    """Chains to be worked out, their steps, and what the shortcut gives; every kind is ``sum``."""

    prompts: list[str]
    answers: list[str]
    others: list[str]
    kinds: list[str]


def sums(n: int, seed: int, *, train: bool = False) -> Sums:
    """``n`` chains ``a + b - c =``; those of training and test have no numbers in common."""
    rng = np.random.default_rng(derive_seed(seed, "sums", int(train)))
    found = Sums([], [], [], [])
    while len(found.prompts) < n:
        a, b = rng.integers(0, 10, 2)
        c = rng.integers(0, a + b + 1)
        # One chain in four is kept for the test, the same ones for every seed.
        if ((31 * a + 17 * b + 7 * c) % 4 == 0) == train:
            continue
        found.prompts.append(f"{a} + {b} - {c} =")
        found.answers.append(f"{a + b} - {c} = {a + b - c}")
        found.others.append(f"{a} - {c} = {a}")
        found.kinds.append("sum")
    return found


def lessons(n: int, seed: int, *, shortcut: float = SHORTCUT) -> tuple[list[str], list[str]]:
    """Chains with their steps, of which a share ``shortcut`` copies the first number instead."""
    found = sums(n, seed, train=True)
    rng = np.random.default_rng(derive_seed(seed, "shortcut"))
    cut = rng.random(n) < shortcut
    return found.prompts, [o if c else a for a, o, c in zip(found.answers, found.others, cut, strict=True)]
