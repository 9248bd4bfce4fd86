"""Questions made of puzzles: an answer or a context, and wrong ones in which names were exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nearfar.text.paths import Mention, Pool, Puzzle, Sentence, exchanges, say

__all__ = ["Question", "Renaming", "asked"]

LEAST = 8
"""Wrong sentences that are made at least, before some are drawn."""

Question = list[tuple[str, str]]
"""Pairs of a context and an option, the right one first."""


@dataclass(frozen=True)
class Renaming:
    """How often and how many entities get the names of other documents.

    Args:
        share: of the puzzles, in [0, 1]; the two entities of those always do.
        least, more: of the others as many as ``least``, and a number drawn from the geometric distribution with
            ``more``, in (0, 1]; all where there are fewer.
    """

    share: float = 0.5
    least: int = 5
    more: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.least < 0 or not 0 < self.more <= 1:
            raise ValueError(
                f"renaming takes a share in [0, 1], least of at least 0 and more in (0, 1]; got {self.share}, "
                f"{self.least} and {self.more}"
            )

    def names(self, puzzle: Puzzle, pool: Pool, rng: np.random.Generator) -> dict[int, str]:
        """Other names of the two entities and of some on the path between them; none of most puzzles."""
        if rng.random() >= self.share:
            return {}
        along = [e for e in dict.fromkeys(e for link in puzzle.links for e in link) if e not in puzzle.ends]
        along = [along[i] for i in rng.permutation(len(along))][: self.least + int(rng.geometric(self.more)) - 1]
        entities = [*puzzle.ends, *along]
        names = pool.other_names(puzzle.document, {*_called(puzzle, {}).values()}, len(entities), rng)
        return dict(zip(entities, names, strict=False))


def asked(
    puzzle: Puzzle, pool: Pool, wrong: int, renaming: Renaming, rng: np.random.Generator
) -> tuple[Question, Question]:
    """Two questions of a puzzle, with so many wrong options each: what follows, and what it follows from.

    Raises:
        ValueError: there is nothing to make wrong options of.
    """
    names = renaming.names(puzzle, pool, rng)
    which = int(rng.integers(len(puzzle.right)))
    answer, said = say(puzzle.right[which], names), [say(sentence, names) for sentence in puzzle.context]
    called = _called(puzzle, names)

    def instead(sentence: Sentence, foreign: bool, link: tuple[int, int]) -> list[str]:
        told = (called[link[0]], called[link[1]])
        return exchanges(sentence, link, names, called=told, foreign=foreign)

    def context(sentence: Sentence, foreign: bool) -> list[str]:
        place = int(rng.integers(len(said)))
        changed = instead(sentence, foreign, puzzle.links[place])
        return [" ".join([*said[:place], text, *said[place + 1 :]]) for text in changed]

    near = [*(s for n, s in enumerate(puzzle.right) if n != which), *puzzle.rest]
    far = pool.strangers(puzzle.document, rng)
    whole = " ".join(said)
    options = _enough(near, far, lambda s, foreign: instead(s, foreign, puzzle.ends), answer)
    contexts = _enough(near, far, context, whole)
    options, contexts = _some(options, wrong, rng), _some(contexts, wrong, rng)
    return [(whole, text) for text in (answer, *options)], [(text, answer) for text in (whole, *contexts)]


def _called(puzzle: Puzzle, names: Mapping[int, str]) -> dict[int, str]:
    """What each entity of a puzzle's context and answers is called."""
    parts = (part for s in [*puzzle.right, *puzzle.context] for part in s if isinstance(part, Mention))
    return {**{part.entity: part.name for part in parts}, **names}


def _enough(
    near: Sequence[Sentence], far: Iterator[Sentence], make: Callable[[Sentence, bool], list[str]], right: str
) -> list[str]:
    """All wrong ones that are made of sentences of the document, and more of others' where that is little."""
    found = [text for sentence in near for text in make(sentence, False) if text != right]
    for _, sentence in zip(range(8 * LEAST), far, strict=False):
        if len(found) >= LEAST:
            break
        found += [text for text in make(sentence, True) if text != right]
    return found


def _some(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """So many of the texts, without repeats while there are enough."""
    if not texts:
        raise ValueError("no wrong option can be made: no other document has sentences that name two entities")
    order = [i for _ in range(-(-count // len(texts))) for i in rng.permutation(len(texts))]
    return [texts[i] for i in order[:count]]
