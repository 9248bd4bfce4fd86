"""Pairs of texts with labels at several levels, as relations of discourse: tables of them, and generated ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, why_no_text
from nearfar.training import Data

__all__ = ["ArgumentBatch", "Arguments", "made", "read"]

LEVEL = re.compile(r"label_\d+")


class ArgumentBatch(NamedTuple):
    """First and second texts (N strings each), and of each pair the labels from the top level down."""

    firsts: list[str]
    seconds: list[str]
    paths: list[tuple[str, ...]]


class Arguments(Data):
    """Pairs of texts, each with a path of labels.

    Args:
        firsts, seconds: N strings each.
        paths: of each pair its labels from the top level down; an empty one where a level is not known.
        name: what to call the set.
        splits: held-out sets by name.
        skipped: what the source held besides.

    Raises:
        ValueError: lengths that differ.
    """

    gives = ArgumentBatch

    def __init__(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str],
        paths: Sequence[Sequence[str]],
        *,
        name: str = "arguments",
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        if not len(firsts) == len(seconds) == len(paths):
            raise ValueError(f"{len(firsts)} first texts have {len(seconds)} second ones and {len(paths)} paths")
        if len({len(path) for path in paths}) > 1:
            raise ValueError("every pair has a label at each level, or an empty one, and here some have fewer")
        self.firsts, self.seconds, self.paths = [*firsts], [*seconds], [tuple(path) for path in paths]
        self.labels = np.array(["/".join(path) for path in self.paths])
        self.name, self.skipped = name, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.firsts)

    def batch(self, indices: np.ndarray) -> ArgumentBatch:
        firsts, seconds = ([texts[i] for i in indices] for texts in (self.firsts, self.seconds))
        return ArgumentBatch(firsts, seconds, [self.paths[i] for i in indices])

    @property
    def facts(self) -> Mapping[str, Any]:
        """``hierarchy``: every path that occurs."""
        return {"hierarchy": [[*path] for path in sorted(set(self.paths))]}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {name: digest_of(getattr(self, name)) for name in ("firsts", "seconds", "labels")}


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Arguments:
    """The rows of a table with two texts as ``arg1`` and ``arg2`` and labels as ``label_1``, ``label_2`` and so on,
    the top level first; an empty cell is a level that nobody labelled."""
    levels = sorted((c for c in table.columns if LEVEL.fullmatch(c)), key=lambda c: int(c.rpartition("_")[2]))
    cells = zip(*(table.columns[column] for column in levels), strict=True)
    labels = [["" if value is None else str(value).strip() for value in row] for row in cells]
    table = Table({**table.columns, "labels": labels}, table.places, table.bad)
    columns = table.columns

    def reason(row: int) -> str:
        bad = next(filter(None, (why_no_text(columns[side][row]) for side in ("arg1", "arg2"))), "")
        return bad or ("" if any(labels[row]) else "it has no label at any level")

    table = table.without(reason)
    skipped = table.set_aside(where, kind="pairs", nothing="labelled pair of texts", **checks)
    parts = (table.columns[column] for column in ("arg1", "arg2", "labels"))
    return Arguments(*parts, name=name, splits=splits, skipped=skipped)


AGENTS = ["mary", "john", "peter", "anna", "david", "lucy", "tom", "kate", "paul", "emma", "henry", "sara"]
TIMES = ("at dawn|in the early morning", "at noon|around midday", "in the evening|at dusk", "at midnight|late at night")
CAUSES = (
    ("the rain did not stop|it poured all day", "the cellar was flooded|the meadow stood under water"),
    ("the engine broke down|the motor failed", "the bus came late|the trip was delayed"),
    ("the price fell|it became cheaper", "many people bought it|the sales went up"),
    ("the lamp went out|the power was cut", "the room was dark|nobody could see a thing"),
    ("the team trained hard|everybody practised daily", "they won the cup|the match was theirs"),
    ("the oven stayed on|somebody forgot the stove", "the bread burnt|the cake was black"),
)
DENIED = "yet not this time: it is untrue that {}|even so nobody found that {}"
WANTS = "so as to please {}|hoping to impress {}|meaning to help {}"
QUALITIES = (("warm|hot", "cold|chilly"), ("loud|noisy", "silent|quiet"), ("big|huge", "tiny|small"), ("old", "new"))
THINGS = ["house", "garden", "shop", "harbour", "school", "station", "market", "library"]
KINDS_OF = (
    ("fruit", "an apple|a pear|a plum"),
    ("animals", "a horse|a dog|a goat"),
    ("tools", "a hammer|a saw|a drill"),
    ("instruments", "a violin|a drum|a flute"),
)
DEEDS = ["painted the fence", "wrote a letter", "cleaned the stairs", "fed the birds", "fixed the roof", "read a novel"]
PLAIN, FORMAL = ("well then|you know|sure enough", "it is reported that|according to the record|as was noted")
"""What begins a second text; it decides between the two labels of the lowest level."""
TREE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "temporal": {
        "precedence": ("then", "subsequently"),
        "succession": ("before that", "previously"),
        "synchrony": ("meanwhile", "simultaneously"),
    },
    "contingency": {
        "result": ("so", "consequently"),
        "reason": ("because", "owing to this"),
        "purpose": ("for this", "to this end"),
    },
    "comparison": {
        "contrast": ("but", "by contrast"),
        "similarity": ("just as", "likewise"),
        "concession": ("still", "nevertheless"),
    },
    "expansion": {
        "instance": ("for example", "for instance"),
        "generalisation": ("all in all", "in general"),
        "conjunction": ("and", "furthermore"),
    },
}
RELATIONS = [(top, second, lowest) for top, below in TREE.items() for second, both in below.items() for lowest in both]
NOISE = 0.1
"""Share of lowest labels that are the other one of the two."""


def made(examples: int, seed: int = 0) -> Arguments:
    """Pairs of sentences whose relation nobody names: 4 relations, 12 finer ones, and 24 connectives that would fit.

    The finer relation is in both texts together (which time is later, which is the cause, whether two things are
    alike), the connective in the second's way of speaking. 600 others are held out as ``test``.
    """
    test = Arguments(*_drawn(600, np.random.default_rng([seed, 32])), name="held-out arguments")
    drawn = _drawn(examples, np.random.default_rng([seed, 31]))
    return Arguments(*drawn, name="arguments", splits={"test": test})


def _drawn(count: int, rng: np.random.Generator) -> tuple[list[str], list[str], list[tuple[str, str, str]]]:
    firsts, seconds, paths = [], [], []
    for _ in range(count):
        top, second, lowest = RELATIONS[int(rng.integers(len(RELATIONS)))]
        first, other = _related(rng, second)
        formal = (lowest == TREE[top][second][1]) != (rng.random() < NOISE)
        firsts.append(first)
        seconds.append(f"{_said(rng, FORMAL if formal else PLAIN)} {other}")
        paths.append((top, second, lowest))
    return firsts, seconds, paths


def _related(rng: np.random.Generator, relation: str) -> tuple[str, str]:
    a, b = (AGENTS[i] for i in rng.permutation(len(AGENTS))[:2])
    did, done = (DEEDS[i] for i in rng.permutation(len(DEEDS))[:2])
    if relation in TREE["temporal"]:
        early, late = sorted(rng.permutation(len(TIMES))[:2])
        times = {"precedence": (early, late), "succession": (late, early), "synchrony": (early, early)}[relation]
        t, u = (_said(rng, TIMES[i]) for i in times)
        return f"{a} {did} {t}", f"{b} {done} {u}"
    # A time in one of the texts says nothing.
    when = _said(rng, TIMES[int(rng.integers(len(TIMES)))]) if rng.random() < 0.4 else ""
    cause, effect = CAUSES[int(rng.integers(len(CAUSES)))]
    alike, other = QUALITIES[int(rng.integers(len(QUALITIES)))]
    kind, members = KINDS_OF[int(rng.integers(len(KINDS_OF)))]
    x, y = (THINGS[i] for i in rng.permutation(len(THINGS))[:2])
    general, special = f"{a} likes {kind}", f"{a} bought {_said(rng, members)}"
    first, second = {
        "result": (_said(rng, cause), _said(rng, effect)),
        "reason": (_said(rng, effect), _said(rng, cause)),
        "purpose": (f"{a} {did}", _said(rng, WANTS).format(b)),
        "contrast": (f"the {x} is {_said(rng, alike)}", f"the {y} is {_said(rng, other)}"),
        "similarity": (f"the {x} is {_said(rng, alike)}", f"the {y} is {_said(rng, alike)}"),
        "concession": (_said(rng, cause), _said(rng, DENIED).format(_said(rng, effect))),
        "instance": (general, special),
        "generalisation": (special, general),
        "conjunction": (f"{a} {did}", f"{a} {done}"),
    }[relation]
    return f"{first} {when}".strip(), second


def _said(rng: np.random.Generator, ways: str) -> str:
    options = ways.split("|")
    return options[int(rng.integers(len(options)))]
