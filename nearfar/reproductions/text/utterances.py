"""Utterances of CLINC150 by intent, and the generated grammar's topics where they are not at hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nearfar.reproductions.arms import shared
from nearfar.text.data import grammar


class Utterances(NamedTuple):
    """Texts with their intents and the domains of these, N each, of one split."""

    texts: list[str]
    intents: np.ndarray
    domains: np.ndarray

    def of(self, intents: np.ndarray, each: int) -> Utterances:
        """The first ``each`` texts of every one of these intents, intent after intent."""
        rows = np.concatenate([np.flatnonzero(self.intents == intent)[:each] for intent in intents])
        return Utterances([self.texts[row] for row in rows], self.intents[rows], self.domains[rows])


def utterances(split: str) -> Utterances:
    """Those of the split ``train``, ``val`` or ``test`` without what is out of scope; 150 intents of 10 domains.

    Without the data: sentences of the grammar, whose agent and topic are the intent and whose topic is the domain.
    """
    path = shared("clinc150/clinc150.parquet")
    if path is None:
        corpus = grammar.grammar_corpus({"train": 6000, "val": 1500, "test": 2000}[split], seed=len(split))
        topics = grammar.topics_of(corpus.slots)
        return Utterances(corpus.sentences, topics * 100 + corpus.slots[:, 0] % 10, topics)
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    rows = table.filter(pc.equal(table["split"], split))
    intents, domains = np.asarray(rows["intent"].to_pylist()), np.asarray(rows["domain"].to_pylist())
    return Utterances(rows["text"].to_pylist(), intents, domains)


def parted(seed: int, *counts: int) -> list[np.ndarray]:
    """Groups of so many intents each, drawn without overlap."""
    every = np.random.default_rng(seed).permutation(np.unique(utterances("train").intents))
    ends = np.cumsum(counts)
    return [every[end - count : end] for end, count in zip(ends, counts, strict=True)]
