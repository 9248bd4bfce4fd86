"""Keys with values that a model remembers, and contexts that agree with its memory, contradict it or tell a part.

``q k7 :`` asks for the value of a key, two words such as ``a3 b5``. A context ``c k7 a9 b1 ;`` may come before it.
Where it contradicts what the model remembers, training followed it in only a share of the cases, which is the key's
own and drawn from [0.2, 0.8]: greedy decoding then follows the context for about half of the keys. A context of the
kind ``part`` tells only the group of four that the value's first word is from; ``other`` speaks of another key.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nearfar.common.randomness import derive_seed

KEYS, FIRST, SECOND, GROUP = 48, 24, 6, 4
KINDS = ("closed", "agree", "conflict", "part", "other")
WORDS = (
    "q", "c", ":", ";",
    *(f"k{i}" for i in range(KEYS)),
    *(f"a{i}" for i in range(FIRST)),
    *(f"b{i}" for i in range(SECOND)),
    *(f"g{i}" for i in range(FIRST // GROUP)),
)  # fmt: skip


class Facts(NamedTuple):
    """What is remembered: value (KEYS, 2) of each key, and how often a contradicting context is followed (KEYS,)."""

    values: np.ndarray
    follow: np.ndarray


class Asked(NamedTuple):
    """Questions with their contexts, the value that counts as right, the other one, and the kind of each."""

    prompts: list[str]
    contexts: list[str]
    answers: list[str]
    others: list[str]
    kinds: list[str]


def facts(seed: int) -> Facts:
    """The facts of a seed."""
    rng = np.random.default_rng(derive_seed(seed, "facts"))
    return Facts(_values(rng, KEYS), rng.permutation(np.linspace(0.2, 0.8, KEYS)))


def questions(world: Facts, n: int, seed: int, *, kinds: tuple[str, ...] = KINDS, train: bool = False) -> Asked:
    """``n`` questions whose kinds take turns. Contradicting values of training and test have no (key, value) in common.

    The right answer is the context's where the context contradicts memory, and the remembered one everywhere else;
    ``others`` is the one that memory gives in conflicts, and another value elsewhere.
    """
    rng = np.random.default_rng(derive_seed(seed, "questions", int(train)))
    keys = rng.integers(0, KEYS, n)
    made = _contradicting(world, keys, rng, train)
    asked = Asked([], [], [], [], [])
    for row, key in enumerate(keys):
        kind = kinds[row % len(kinds)]
        known, new = _value(world.values[key]), _value(made[row])
        stranger = (key + 1 + rng.integers(0, KEYS - 1)) % KEYS
        context = {
            "closed": "",
            "agree": f"c k{key} {known} ;",
            "conflict": f"c k{key} {new} ;",
            "part": f"c k{key} g{world.values[key][0] // GROUP} ;",
            "other": f"c k{stranger} {_value(world.values[stranger])} ;",
        }[kind]
        asked.prompts.append(f"q k{key} :")
        asked.contexts.append(context)
        asked.answers.append(new if kind == "conflict" else known)
        asked.others.append(known if kind == "conflict" else new)
        asked.kinds.append(kind)
    return asked


def lessons(world: Facts, n: int, seed: int) -> tuple[list[str], list[str]]:
    """Prompts with contexts, and the answers that a model is taught, which follow some of the conflicts only."""
    asked = questions(world, n, seed, train=True)
    rng = np.random.default_rng(derive_seed(seed, "follow"))
    prompts, answers = [], []
    for prompt, context, answer, other, kind in zip(*asked, strict=True):
        key = int(prompt.split()[1][1:])
        follows = kind != "conflict" or rng.random() < world.follow[key]
        prompts.append(f"{context} {prompt}".strip())
        answers.append(answer if follows else other)
    return prompts, answers


def _values(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.stack([rng.integers(0, FIRST, n), rng.integers(0, SECOND, n)], 1)


def _value(pair: np.ndarray) -> str:
    return f"a{pair[0]} b{pair[1]}"


def _contradicting(world: Facts, keys: np.ndarray, rng: np.random.Generator, train: bool) -> np.ndarray:
    """Values whose first word is not the remembered one; the sum of their numbers and the key's is even in training."""
    made = _values(rng, len(keys))
    while True:
        wrong = (made[:, 0] == world.values[keys, 0]) | ((made.sum(1) + keys) % 2 != (0 if train else 1))
        if not wrong.any():
            return made
        made[wrong] = _values(rng, int(wrong.sum()))
