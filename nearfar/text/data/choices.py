"""Questions with options, one of which follows from what is read: tables of them, and generated ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, why_no_text
from nearfar.text.paths import Mention, Pool, Puzzle, Sentence, say
from nearfar.training import Data

__all__ = ["ChoiceBatch", "Choices", "made", "read", "world"]


class ChoiceBatch(NamedTuple):
    """Questions: N texts to read, for each its options, and the number of the right one.

    Of documents from which questions are made in training there are ``puzzles`` (N) and a ``pool`` instead.
    """

    contexts: list[str]
    options: list[list[str]]
    right: list[int]
    puzzles: list[Puzzle] | None = None
    pool: Pool | None = None


class Choices(Data):
    """Questions with the same number of options each.

    Args:
        contexts: N strings to read; where something is asked, it ends with the question.
        options: of each at least two strings.
        right: of each the number of the right one, from 0.
        name, splits, skipped: as of every collection of texts.

    Raises:
        ValueError: lengths that differ, or a right option that is not there.
    """

    gives = ChoiceBatch

    def __init__(
        self,
        contexts: Sequence[str],
        options: Sequence[Sequence[str]],
        right: Sequence[int],
        *,
        name: str = "choices",
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        if not len(contexts) == len(options) == len(right):
            raise ValueError(f"{len(contexts)} contexts have {len(options)} lists of options and {len(right)} answers")
        if len({len(each) for each in options}) > 1 or any(len(each) < 2 for each in options):
            raise ValueError("every question has the same number of options, at least two")
        if any(not 0 <= number < len(each) for number, each in zip(right, options, strict=True)):
            raise ValueError("the right option is a number from 0 to below the number of options")
        self.contexts, self.options, self.right = [*contexts], [[*each] for each in options], [*right]
        self.name, self.skipped = name, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.contexts)

    def batch(self, indices: np.ndarray) -> ChoiceBatch:
        parts = ([values[i] for i in indices] for values in (self.contexts, self.options, self.right))
        return ChoiceBatch(*parts)  # type: ignore[arg-type]

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {name: digest_of(getattr(self, name)) for name in ("contexts", "options", "right")}


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Choices:
    """The rows of a table with ``context``, ``options`` (a list of texts, or that as JSON), ``answer`` (the right
    one's number from 0) and, where there is one, ``question``, which is read after the context."""
    asked = table.columns.get("question")
    columns = (table.columns[column] for column in ("context", "options", "answer"))
    contexts: list[str] = []
    options: list[list[str]] = []
    right, bad = [], [*table.bad]
    for row, (text, listed, answer) in enumerate(zip(*columns, strict=True)):
        reason = why_no_text(text)
        number = -1
        try:
            listed = json.loads(listed) if isinstance(listed, str) else listed
            number = int(answer)
        except (TypeError, ValueError, RecursionError):
            reason = reason or "its options are no list, or its answer is no number"
        if not reason and (not isinstance(listed, list) or len(listed) < 2):
            reason = "it has no list of at least two options"
        reason = reason or next(filter(None, map(why_no_text, listed)), "")
        if not reason and not 0 <= number < len(listed):
            reason = f"its answer is {number}, and its options are numbered from 0 to {len(listed) - 1}"
        if not reason and options and len(listed) != len(options[0]):
            reason = f"it has {len(listed)} options, and the first question {len(options[0])}"
        if reason:
            bad.append((table.places[row], reason))
            continue
        question = str(asked[row]).strip() if asked and asked[row] else ""
        contexts.append(f"{text} {question}".strip())
        options.append(listed)
        right.append(number)
    skipped = Skipped(len(table.places) + len(table.bad), kind="questions", **checks)
    skipped.set_aside(bad, where)
    if not contexts:
        raise ValueError(f"{where} holds no question: {': '.join(bad[0]) if bad else 'it has no row'}")
    return Choices(contexts, options, right, name=name, splits=splits, skipped=skipped)


ORDERS = (
    ("{a} lies north of {b}|{a} is farther north than {b}", "{a} lies south of {b}|{a} is farther south than {b}"),
    ("{a} is older than {b}|{a} has more years than {b}", "{a} is younger than {b}|{a} has fewer years than {b}"),
    ("{a} came before {b}|{a} arrived earlier than {b}", "{a} came after {b}|{a} arrived later than {b}"),
    ("{a} weighs more than {b}|{a} is heavier than {b}", "{a} weighs less than {b}|{a} is lighter than {b}"),
)
"""Relations of which two make a third, with their inverses."""
SYLLABLES = ["ba", "do", "ki", "lu", "me", "na", "po", "ri", "sa", "tu", "ve", "wo", "ga", "hi", "je", "no"]
OPTIONS = 4


def names(count: int, rng: np.random.Generator) -> list[str]:
    """So many different words of three syllables."""
    found = rng.choice(len(SYLLABLES) ** 3, size=count, replace=False)
    return ["".join(SYLLABLES[int(n) // len(SYLLABLES) ** k % len(SYLLABLES)] for k in range(3)) for n in found]


def world(rng: np.random.Generator) -> list[Sentence]:
    """A document: three entities in an order, told by neighbours and from end to end, and others in other orders."""
    called = names(6, rng)
    about, other, third = (int(n) for n in rng.permutation(len(ORDERS))[:3])
    a, b, c, *rest = (int(n) for n in rng.permutation(6))
    facts = [(about, a, b), (about, b, c), (about, a, c), (other, rest[0], rest[1]), (third, rest[1], rest[2])]
    return [_fact(facts[i], called, rng) for i in rng.permutation(len(facts))]


def _fact(fact: tuple[int, int, int], called: Sequence[str], rng: np.random.Generator) -> Sentence:
    order, first, second = fact
    inverse = int(rng.integers(2))
    pair = (second, first) if inverse else (first, second)
    ways = ORDERS[order][inverse].split("|")
    _, between, end = ways[int(rng.integers(len(ways)))].replace("{a}", "\0").replace("{b}", "\0").split("\0")
    a, b = (Mention(entity, called[entity]) for entity in pair)
    return (a, between, b, f"{end} .")


def made(examples: int, seed: int = 0) -> Choices:
    """Two facts, and four sentences of which one follows: the others have the order turned round, or are about another
    order. Names never occur twice, so that none can be known. 400 others are held out as ``test``."""
    test = Choices(*_drawn(400, np.random.default_rng([seed, 52])), name="held-out choices")
    drawn = _drawn(examples, np.random.default_rng([seed, 51]))
    return Choices(*drawn, name="choices", splits={"test": test})


def _drawn(count: int, rng: np.random.Generator) -> tuple[list[str], list[list[str]], list[int]]:
    contexts, options, right = [], [], []
    for _ in range(count):
        called = names(3, rng)
        about, other = (int(n) for n in rng.permutation(len(ORDERS))[:2])
        a, b, c = (int(n) for n in rng.permutation(3))
        read = [_fact(fact, called, rng) for fact in ((about, a, b), (about, b, c))]
        said = [(about, a, c), (about, c, a), (other, a, c), (other, c, a)]
        order = rng.permutation(OPTIONS)
        contexts.append(" ".join(say(read[i]) for i in rng.permutation(2)))
        options.append([say(_fact(said[i], called, rng)) for i in order])
        right.append(int(order.tolist().index(0)))
    return contexts, options, right
