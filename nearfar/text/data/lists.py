"""Queries with lists of passages, some of which are right: what rerankers read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, why_no_text
from nearfar.text.data.retrieval import grammar_retrieval
from nearfar.training import Data

QUERIES = ("query", "sentence", "anchor", "question", "text")
RIGHT = ("positive", "positives", "pos")
WRONG = ("negative", "negatives", "neg")
_NUMBERED = re.compile(r"(positive|pos|negative|neg)_\d+")
OTHERS = 6
"""Passages of other queries in each generated list."""


class ListBatch(NamedTuple):
    """Queries with lists of passages (N strings, and N lists of any lengths), and which of these are right."""

    queries: list[str]
    passages: list[list[str]]
    right: list[list[bool]]


class Lists(Data):
    """Queries, each with passages that are right and passages that are not.

    Args:
        queries: N strings.
        right: for each the right passages.
        wrong: for each the others. A query without either teaches nothing and is measured on nothing.
        name: what to call the set.
        splits: held-out sets by name.
        skipped: what the source held besides.

    Raises:
        ValueError: lengths that differ, or a query without a passage.
    """

    gives = ListBatch

    def __init__(
        self,
        queries: Sequence[str],
        right: Sequence[Sequence[str]],
        wrong: Sequence[Sequence[str]],
        *,
        name: str = "lists",
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        if not len(queries) == len(right) == len(wrong):
            raise ValueError(f"{len(queries)} queries have {len(right)} and {len(wrong)} lists")
        for row, (yes, no) in enumerate(zip(right, wrong, strict=True)):
            if not yes and not no:
                raise ValueError(f"query {row} has no passage")
        self.queries, self.right, self.wrong = [*queries], right, wrong
        self.name, self.skipped = name, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.queries)

    def batch(self, indices: np.ndarray) -> ListBatch:
        return ListBatch(
            [self.queries[i] for i in indices],
            [[*self.right[i], *self.wrong[i]] for i in indices],
            [[True] * len(self.right[i]) + [False] * len(self.wrong[i]) for i in indices],
        )

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {name: digest_of([*getattr(self, name)]) for name in ("queries", "right", "wrong")}


def lists_of(table: Table, where: str, name: str, splits: Mapping[str, Data], **checks: Any) -> Lists:
    """The rows of a table as lists: a query, and right and wrong passages, each column one text or, in ``.jsonl``, a
    list of texts (``positive``, ``positive_1``, ``negative``, ``negative_1`` and so on).

    Raises:
        ValueError: no column of queries or of right passages, or no row that can be used.
    """
    query = next((column for column in QUERIES if column in table.columns), None)
    numbered = [column for column in table.columns if _NUMBERED.fullmatch(column)]
    right = [c for c in table.columns if c in RIGHT or (c in numbered and c.startswith("pos"))]
    wrong = [c for c in table.columns if c in WRONG or (c in numbered and c.startswith("neg"))]
    if query is None or not right or not wrong:
        raise ValueError(
            f"{where} has no lists: a row is a query with right and wrong passages, in the columns query, positive and "
            f"negative, which are texts or lists of texts; its columns are {', '.join(table.columns)}"
        )

    def texts(columns: Sequence[str], row: int) -> list[Any]:
        found = [table.columns[column][row] for column in columns]
        return [
            text for value in found if value is not None for text in (value if isinstance(value, list) else [value])
        ]

    def reason(row: int) -> str:
        every = [table.columns[query][row], *texts(right, row), *texts(wrong, row)]
        bad = next(filter(None, map(why_no_text, every)), "")
        return bad or ("" if texts(right, row) and texts(wrong, row) else "it has no right or no wrong passage")

    reasons = [reason(row) for row in range(len(table.places))]
    kept = [row for row, why in enumerate(reasons) if not why]
    skipped = Skipped(len(table.places) + len(table.bad), kind="lists", **checks)
    bad = [(place, why) for place, why in zip(table.places, reasons, strict=True) if why]
    skipped.set_aside([*table.bad, *bad], where)
    if not kept:
        raise ValueError(f"{where} holds no list: {': '.join([*table.bad, *bad][0])}")
    return Lists(
        [table.columns[query][row] for row in kept],
        [texts(right, row) for row in kept],
        [texts(wrong, row) for row in kept],
        name=name,
        splits=splits,
        skipped=skipped,
    )


def grammar_lists(count: int, seed: int = 0) -> Lists:
    """Generated queries, each with two right passages, the two near misses, and some of other queries."""
    pairs, asked = grammar_retrieval(count, seed=seed, said=2)
    texts, rng = asked.passages.texts, np.random.default_rng([seed, 7])
    columns = [texts[start : start + count] for start in range(0, len(texts), count)]
    others = (np.arange(count)[:, None] + rng.integers(1, max(count, 2), (count, OTHERS))) % count
    return Lists(
        pairs.sentences,
        [[column[row] for column in columns[:2]] for row in range(count)],
        [[*(c[row] for c in columns[2:]), *(columns[0][o] for o in others[row])] for row in range(count)],
        name="grammar-lists",
    )


def made(examples: int) -> Lists:
    """Generated lists, with others held out as ``test``."""
    lists, test = grammar_lists(examples), grammar_lists(min(max(examples // 4, 10), 300), seed=1)
    return Lists(lists.queries, lists.right, lists.wrong, name=lists.name, splits={"test": test})
