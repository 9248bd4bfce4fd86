"""Something to read and what is to be written of it: tables of both, and generated records of restaurants."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.sources.tables import Table, why_no_text
from nearfar.text.data.sentences import Sentences
from nearfar.training import Data

__all__ = ["VALUES", "Renderings", "faithful", "made", "read"]

MOST_WORDS = 20_000
NAMES = (
    "golden silver little royal happy quiet grand merry lucky blue green crimson hidden wild old rusty twin bright "
    "broken proud gentle iron velvet sleepy",
    "palace dragon garden anchor mill kettle lantern harbour orchard bridge fiddle crown rooster barrel window compass "
    "willow tavern saddle beacon pepper spoon meadow arch",
)
FIRST, SECOND = (tuple(words.split()) for words in NAMES)
"""Words of names, each of two."""
FIELDS: Mapping[str, tuple[str, ...]] = {
    field: tuple(values.split())
    for field, values in (
        ("food", "italian indian french thai greek mexican turkish korean spanish polish persian danish"),
        ("price", "cheap moderate expensive"),
        ("area", "riverside downtown uptown suburb seafront campus market hillside"),
        ("rating", "one two three four five"),
    )
}
SAID = {
    "price": ("prices are {}", "a meal there is {}", "expect {} prices"),
    "area": ("it lies in the {} area", "you find it in the {}", "the place is part of the {}"),
    "rating": ("guests give it {} stars", "it has a rating of {}", "critics award {} stars"),
    "near": ("it is close to {}", "it stands next to {}", "{} is not far away"),
}
OPENINGS = ("{name} serves {food} food", "{name} is a {food} restaurant", "for {food} dishes go to {name}")
VALUES = frozenset([*FIRST, *SECOND, *itertools.chain.from_iterable(FIELDS.values())])
"""Every word that is a value of some field; the sentences around them have none of these."""


class Renderings(Sentences):
    """Sources and what is to be written of each: the sentences and positives of a batch.

    Args:
        sources, targets: N strings each.
        name, splits, skipped: as of :class:`Sentences`.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str], **rest: Any) -> None:
        super().__init__(sources, positives=targets, **rest)

    @property
    def facts(self) -> Mapping[str, Any]:
        """``words``: the words of both sides, the commonest first, for models that start from random weights."""
        counts = Counter(word for text in (*self.sentences, *(self.positives or ())) for word in text.split())
        return {"words": [word for word, _ in counts.most_common(MOST_WORDS)]}


def made(examples: int, seed: int = 0) -> Renderings:
    """Records in a fixed order of fields, each told in drawn words; 400 others held out as ``test``.

    Names have two of 48 words, so that nearly every one of the held-out names is new.
    """
    rng = np.random.default_rng([seed, 17])
    test = Renderings(*_drawn(400, np.random.default_rng([seed, 18])), name="held-out records")
    return Renderings(*_drawn(examples, rng), name="records", splits={"test": test})


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Renderings:
    """The rows of a table that have a text as ``source`` and one as ``target``."""
    sides = [table.columns[column] for column in ("source", "target")]
    table = table.without(lambda row: next(filter(None, (why_no_text(side[row]) for side in sides)), ""))
    skipped = table.set_aside(where, kind="sources", nothing="source with a target", **checks)
    return Renderings(table.columns["source"], table.columns["target"], name=name, splits=splits, skipped=skipped)


def faithful(source: str, text: str) -> bool:
    """Whether a text about a generated record has all its values, names in one piece, and no other value."""
    said, wanted = text.split(), source.split()
    names = [f"{a} {b}" for a, b in itertools.pairwise(wanted) if a in FIRST and b in SECOND]
    whole = f" {text} "
    return VALUES.intersection(said) == VALUES.intersection(wanted) and all(f" {name} " in whole for name in names)


def _drawn(count: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    sources, targets = [], []
    for _ in range(count):
        record = {"name": _name(rng), "food": _one(rng, FIELDS["food"])}
        for field in ("price", "area", "rating"):
            if rng.random() < 0.7:
                record[field] = _one(rng, FIELDS[field])
        if rng.random() < 0.2:
            record["near"] = _name(rng)
        clauses = [_one(rng, SAID[field]).format(record[field]) for field in record if field in SAID]
        opening = _one(rng, OPENINGS).format(**record)
        sources.append(" ".join(f"{field} {value}" for field, value in record.items()))
        targets.append(" and ".join([opening, *(clauses[i] for i in rng.permutation(len(clauses)))]))
    return sources, targets


def _name(rng: np.random.Generator) -> str:
    return f"{_one(rng, FIRST)} {_one(rng, SECOND)}"


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
