"""Lists in which a sentence is said again and again, farther from the first every time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, why_no_text
from nearfar.text.data.sentences import Sentences
from nearfar.text.method import TextBatch
from nearfar.training import Data

REPEATED = 3
"""A list whose last or second to last sentence it holds so often went round in a circle."""


class Chains(Sentences):
    """Sentences, each with rewrites of itself that drift away from it.

    Args:
        chains: N lists, a sentence and its rewrites in their order, of any lengths from 2.
        name, splits, pairs, skipped: as of :class:`Sentences`.

    Raises:
        TypeError: something that is not a string. ValueError: a list without a rewrite.
    """

    def __init__(self, chains: Sequence[Sequence[str]], **rest: Any) -> None:
        for row, chain in enumerate(chains):
            if len(chain) < 2:
                raise ValueError(f"list {row} has {len(chain)} sentences; it needs a sentence and a rewrite or more")
            wrong = next((text for text in chain if not isinstance(text, str)), None)
            if wrong is not None:
                raise TypeError(f"list {row} holds a {type(wrong).__name__}, not a string")
        super().__init__([chain[0] for chain in chains], **rest)
        self.chains = [[*chain] for chain in chains]

    def batch(self, indices: np.ndarray) -> TextBatch:
        return super().batch(indices)._replace(rewrites=[self.chains[i][1:] for i in indices])

    def contents(self) -> Mapping[str, str]:
        return {**super().contents(), "chains": digest_of([*itertools.chain(*self.chains)])}


def stuck(chain: Sequence[str]) -> bool:
    """Whether a list's last or second to last sentence is in it three times or more; released code drops such lists."""
    return any([*chain].count(text) >= REPEATED for text in chain[-2:])


def made(examples: int) -> Chains:
    """Generated lists; others, and intents and judged pairs, are held out."""
    from nearfar.text.data import grammar

    texts, topics = grammar.intents(600, seed=101)
    pairs = grammar.similarity_pairs(500, seed=102)
    splits = {
        "test": Sentences(texts, topics, pairs=pairs, name="intents and similarity pairs"),
        "lists": Chains(grammar.chains(100, seed=103), name="held-out lists"),
    }
    return Chains(grammar.chains(max(examples // 8, 1), seed=0), name="grammar-chains", splits=splits)


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Chains:
    """The lists of a table with the columns ``sent`` and ``round``: a list begins wherever the round is 0.

    Lists that went round in a circle are left out, and so are those with a row that cannot be used.
    """
    texts, rounds = table.columns["sent"], [_whole(value) for value in table.columns["round"]]
    starts = [row for row, number in enumerate(rounds) if number == 0]
    lists, bad = [], [(place, why) for place, why in table.bad]
    if starts[:1] != [0]:
        bad.append((table.places[0] if table.places else where, "no list begins there: its round is not 0"))
    for start, end in itertools.pairwise([*starts, len(texts)]):
        chain = texts[start:end]
        reason = next(filter(None, map(why_no_text, chain)), "")
        if not reason and rounds[start:end] != [*range(len(chain))]:
            reason = "its rounds are not 0, 1, 2 and so on"
        if not reason and len(chain) < 2:
            reason = "a sentence without a rewrite"
        if not reason and stuck(chain):
            reason = f"it ends in a sentence that it holds {REPEATED} times"
        if reason:
            bad.append((table.places[start], reason))
        else:
            lists.append(chain)
    skipped = Skipped(len(lists) + len(bad), kind="lists", **checks)
    skipped.set_aside(bad, where)
    if not lists:
        raise ValueError(f"{where} holds no list: {': '.join(bad[0]) if bad else 'it is empty'}")
    return Chains(lists, name=name, splits=splits, skipped=skipped)


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return -1
