"""Documents whose entities are marked, from which puzzles are made: tables of them, and generated ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, why_no_text
from nearfar.text.data import choices
from nearfar.text.data.choices import ChoiceBatch
from nearfar.text.paths import Mention, Pool, Sentence, puzzles
from nearfar.training import Data

__all__ = ["Documents", "made", "read"]


class Documents(Data):
    """The puzzles of documents (:func:`nearfar.text.paths.puzzles`) as examples.

    Args:
        documents: N documents of sentences with mentions.
        name, splits, skipped: as of every collection of texts.

    Raises:
        ValueError: no document has a puzzle, or only one document is there, which leaves nothing to exchange.
    """

    gives = ChoiceBatch

    def __init__(
        self,
        documents: Sequence[Sequence[Sentence]],
        *,
        name: str = "documents",
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self.documents, self.pool = [[*document] for document in documents], Pool(documents)
        self.puzzles = [each for number, document in enumerate(documents) for each in puzzles(document, number)]
        if not self.puzzles or sum(map(bool, self.pool.sentences)) < 2:
            raise ValueError(
                f"{name} has {len(self.puzzles)} puzzles in {len(documents)} documents; needed are two documents with "
                "sentences of two entities, and two entities that one sentence names together and others connect"
            )
        self.name, self.skipped = name, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.puzzles)

    def batch(self, indices: np.ndarray) -> ChoiceBatch:
        return ChoiceBatch([], [], [], [self.puzzles[i] for i in indices], self.pool)

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {"documents": digest_of(self.documents)}


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Documents:
    """The rows of a table with ``sentences``, a list of texts, and ``entities``, an object that has for each entity its
    mentions: ``[sentence, start, end]``, counted from 0 in sentences and characters. Either may be JSON in a cell."""
    documents, bad = [], [*table.bad]
    for place, *cells in zip(table.places, table.columns["sentences"], table.columns["entities"], strict=True):
        try:
            sentences, entities = (json.loads(cell) if isinstance(cell, str) else cell for cell in cells)
            documents.append(_marked(sentences, entities))
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            bad.append((place, f"the document cannot be read: {error}"))
    skipped = Skipped(len(table.places) + len(table.bad), kind="documents", **checks)
    skipped.set_aside(bad, where)
    return Documents(documents, name=name, splits=splits, skipped=skipped)


def _marked(sentences: Any, entities: Any) -> list[Sentence]:
    if not isinstance(sentences, list) or not isinstance(entities, Mapping):
        raise TypeError("sentences are a list of texts, and entities an object")
    if reason := next(filter(None, map(why_no_text, sentences)), ""):
        raise ValueError(reason)
    spans: list[list[tuple[int, int, int]]] = [[] for _ in sentences]
    for number, mentions in enumerate(entities.values()):
        for which, start, end in mentions:
            if not 0 <= which < len(sentences) or not 0 <= start < end <= len(sentences[which]):
                raise ValueError(f"the mention {[which, start, end]} is outside of the sentences")
            spans[which].append((start, end, number))
    found: list[Sentence] = []
    for text, of in zip(sentences, spans, strict=True):
        parts: list[str | Mention] = []
        done = 0
        for start, end, number in sorted(of):
            if start < done:
                raise ValueError(f"two mentions overlap at character {start} of {text[:40]!r}")
            parts += [text[done:start], Mention(number, text[start:end])]
            done = end
        found.append((*parts, text[done:]))
    return found


def made(examples: int, seed: int = 0) -> Documents:
    """Documents of five facts about six entities in invented orders, as many as it takes to make ``examples`` puzzles;
    held out are 400 questions about others, ``test``, as :mod:`nearfar.text.data.choices` makes them."""
    rng = np.random.default_rng([seed, 61])
    test = choices.made(1, seed=seed + 1000).splits()
    return Documents([choices.world(rng) for _ in range(max(-(-examples // 6), 2))], name="documents", splits=test)
