"""Sentences that name entities, paths from one entity to another, and sentences in which names are exchanged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Mention", "Pool", "Puzzle", "Sentence", "entities_of", "exchanges", "find_path", "puzzles", "say"]


class Mention(NamedTuple):
    """An entity of the document, by number, and what it is called here."""

    entity: int
    name: str


Sentence = tuple[str | Mention, ...]
"""Text and mentions in turn, as they follow one another."""


def say(sentence: Sentence, names: Mapping[int, str] | None = None) -> str:
    """The sentence as text, every mention of the entities in ``names`` under its other name."""
    names = names or {}
    return "".join(names.get(part.entity, part.name) if isinstance(part, Mention) else part for part in sentence)


def entities_of(sentence: Sentence) -> list[int]:
    """The entities of a sentence in the order of their first mention."""
    return [*dict.fromkeys(part.entity for part in sentence if isinstance(part, Mention))]


def _called(sentence: Sentence, entity: int) -> list[str]:
    return [part.name for part in sentence if isinstance(part, Mention) and part.entity == entity]


def _as_before(sentence: Sentence, given: Mapping[int, str]) -> bool:
    """Whether entities would be called what the sentence calls them."""
    return all(name.lower() in map(str.lower, _called(sentence, entity)) for entity, name in given.items())


class Puzzle(NamedTuple):
    """Two entities of a document, and what connects them.

    Attributes:
        context: the sentences of an indirect path from one to the other, in the document's order.
        links: the two entities that each of these connects.
        right: the sentences that name both.
        rest: others, with at least two entities.
        ends: the two.
        document: its number in the collection.
    """

    context: list[Sentence]
    links: list[tuple[int, int]]
    right: list[Sentence]
    rest: list[Sentence]
    ends: tuple[int, int]
    document: int


def find_path(
    sentences: Sequence[Sequence[int]], ends: tuple[int, int], without: frozenset[int]
) -> list[tuple[int, int, int]] | None:
    """A way from one entity to another, each step through a sentence that names both of its sides.

    Args:
        sentences: the entities of each.
        ends: where it begins and ends.
        without: sentences that are not used.

    Returns:
        Steps of (sentence, from, to), no sentence and no entity twice, or ``None``. It is the first that a search in
        depth finds, and need not be the shortest.
    """
    used, seen = set(without), {ends[0]}

    def onward(here: int) -> list[tuple[int, int, int]] | None:
        for number, named in enumerate(sentences):
            if number in used or here not in named:
                continue
            for there in named:
                if there in seen:
                    continue
                step = (number, here, there)
                if there == ends[1]:
                    return [step]
                # What was tried once is not tried again, on any branch.
                used.add(number)
                seen.add(there)
                if (rest := onward(there)) is not None:
                    return [step, *rest]
        return None

    return onward(ends[0])


def puzzles(document: Sequence[Sentence], number: int = 0) -> list[Puzzle]:
    """The puzzles of a document: one of each ordered pair of entities that a sentence names together, and that other
    sentences connect in at least two steps."""
    named = [entities_of(sentence) for sentence in document]
    pairs = dict.fromkeys(pair for of in named for pair in itertools.permutations(of, 2))
    found = []
    for ends in pairs:
        both = frozenset(n for n, of in enumerate(named) if {*ends} <= {*of})
        path = find_path(named, ends, both)
        if path is None or len(path) < 2:
            continue
        path.sort()
        taken = both | {step[0] for step in path}
        found.append(
            Puzzle(
                [document[n] for n, _, _ in path],
                [(a, b) for _, a, b in path],
                [document[n] for n in sorted(both)],
                [s for n, s in enumerate(document) if n not in taken and len(named[n]) > 1],
                ends,
                number,
            )
        )
    return found


class Pool:
    """What other documents lend: sentences with at least two entities, and names.

    Args:
        documents: N documents of sentences.
    """

    def __init__(self, documents: Sequence[Sequence[Sentence]]) -> None:
        self.sentences = [[s for s in document if len(entities_of(s)) > 1] for document in documents]
        parts = ([part for s in document for part in s if isinstance(part, Mention)] for document in documents)
        self.names = [[*dict.fromkeys(part.name for part in of)] for of in parts]
        self._lends = [n for n, of in enumerate(self.sentences) if of]

    def strangers(self, document: int, rng: np.random.Generator) -> Iterator[Sentence]:
        """Sentences of drawn other documents, without end; none where there is no other."""
        while others := [n for n in self._lends if n != document]:
            of = self.sentences[others[int(rng.integers(len(others)))]]
            yield of[int(rng.integers(len(of)))]

    def other_names(self, document: int, known: set[str], count: int, rng: np.random.Generator) -> list[str]:
        """Up to so many different names of drawn other documents, none of those ``known``. The first two come of one
        document, where it has two."""
        order = [n for n in rng.permutation(len(self.names)).tolist() if n != document and len(self.names[n]) > 1]
        known = {name.lower() for name in known}
        found: list[str] = []
        for n in order:
            lent = [self.names[n][i] for i in rng.permutation(len(self.names[n]))]
            fresh = [name for name in lent if name.lower() not in known][: 1 if found else 2]
            known |= {name.lower() for name in fresh}
            found += fresh
            if len(found) >= count:
                break
        return found[:count]


def exchanges(
    sentence: Sentence, ends: tuple[int, int], names: Mapping[int, str], *, called: tuple[str, str], foreign: bool
) -> list[str]:
    """A sentence with its names exchanged so that it says something else of two entities, in every way.

    In a sentence that names both, they and one third entity change places. In any other, the two are put in the place
    of two of its entities, in both orders, and where it names one of them, that one takes part.

    Args:
        sentence: what is changed.
        ends: the two entities.
        names: other names of the document's entities, used everywhere.
        called: the two entities' own names.
        foreign: the sentence is of another document, whose numbers mean other entities.
    """
    own = [] if foreign else [entity for entity in ends if entity in entities_of(sentence)]
    others = [entity for entity in entities_of(sentence) if entity not in own]
    if foreign:
        names = {}
    found = []
    if len(own) == 2:
        for third in others:
            now = [*called, names.get(third, _called(sentence, third)[0])]
            for order in [*itertools.permutations(range(3))][1:]:
                given = {place: now[of] for place, of in zip((*ends, third), order, strict=True)}
                if not _as_before(sentence, given):
                    found.append(say(sentence, {**names, **given}))
        return found
    pairs = [(own[0], other) for other in others] if own else [*itertools.combinations(others, 2)]
    for pair in pairs:
        for places in (pair, pair[::-1]):
            given = dict(zip(places, called, strict=True))
            if not _as_before(sentence, given):
                found.append(say(sentence, {**names, **given}))
    return found
