"""Sentences whose labels are texts: tables of them, and sentences of the grammar with words for their topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.sources.tables import Table, why_no_text
from nearfar.text.data import grammar
from nearfar.text.data.sentences import Sentences
from nearfar.text.data.topics import TOPICS
from nearfar.text.method import TextBatch
from nearfar.training import Data

__all__ = ["Named", "made", "read"]


class Named(Sentences):
    """Sentences with labels that can be read.

    Args:
        sentences: N strings.
        names: of each its label as a text, or an empty string where it has none.
        every: all labels that there are; those that occur, where not given.
        name, splits, skipped: as of :class:`Sentences`.
    """

    def __init__(
        self, sentences: Sequence[str], names: Sequence[str], *, every: Sequence[str] | None = None, **rest: Any
    ) -> None:
        self.names = [*names]
        self.every = sorted({*self.names} - {""}) if every is None else [*every]
        super().__init__(sentences, np.array(self.names), **rest)

    def batch(self, indices: np.ndarray) -> TextBatch:
        return super().batch(indices)._replace(names=[self.names[i] for i in indices])

    @property
    def facts(self) -> Mapping[str, Any]:
        """``names``: every label."""
        return {"names": self.every}


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Named:
    """The rows of a table with a ``sentence`` and, as ``label_text``, its label in words; an empty cell is a sentence
    without one. The labels that can be told apart are those of the table and of its held-out parts."""
    column = table.columns["sentence"]
    table = table.without(lambda row: why_no_text(column[row]))
    skipped = table.set_aside(where, kind="sentences", nothing="sentence", **checks)
    names = ["" if cell is None else str(cell).strip() for cell in table.columns["label_text"]]
    more = (held.every for held in splits.values() if isinstance(held, Named))
    every = sorted({*names, *(label for labels in more for label in labels)} - {""})
    if not every:
        raise ValueError(f"{where} names no label: every cell of label_text is empty")
    return Named(table.columns["sentence"], names, every=every, name=name, splits=splits, skipped=skipped)


NAMED = 40
"""One of so many sentences has its label."""


def made(examples: int, seed: int = 0) -> Named:
    """Sentences of sixteen topics, of which every fortieth is labelled, by the first words of the topic's things;
    others, 400 and all labelled, are held out as ``test``. The words are ones that sentences of the topic use, but
    rarely those of a particular one."""
    every = [" ".join(concept.split("|")[0] for concept in topic.objects) for topic in TOPICS.values()]
    drawn = []
    for count, stream in ((examples, seed), (400, seed + 1000)):
        corpus = grammar.grammar_corpus(count, seed=stream)
        drawn.append((corpus.sentences, [every[topic] for topic in grammar.topics_of(corpus.slots)]))
    (texts, names), held = drawn
    shown = [name if row % NAMED == 0 else "" for row, name in enumerate(names)]
    test = Named(*held, every=every, name="held-out sentences")
    return Named(texts, shown, every=every, name="named", splits={"test": test})
