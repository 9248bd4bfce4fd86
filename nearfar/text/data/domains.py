"""Pairs of texts from several domains: some to learn from, and judged ones to tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, why_no_text
from nearfar.text.data.sentences import Sentences
from nearfar.text.method import TextBatch
from nearfar.training import Data

GROUPS = 4
"""Generated domains, each of as many topics as the others."""


class DomainPairs(Sentences):
    """Texts with partners that belong to them, and the domain of each pair.

    Args:
        sentences: N strings.
        positives: N strings.
        domains: N names.
        judged: pairs to tell apart, ``(a, b, together, domains)``, M each, where ``together`` is 1 or 0.
        name, splits, skipped: as of :class:`Sentences`.

    Raises:
        ValueError: lengths that differ.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        positives: Sequence[str],
        domains: Sequence[str],
        *,
        judged: tuple[Sequence[str], Sequence[str], np.ndarray, Sequence[str]] | None = None,
        **rest: Any,
    ) -> None:
        if len(domains) != len(sentences) or (judged and len({len(part) for part in judged}) != 1):
            raise ValueError(f"{len(sentences)} texts have {len(domains)} domains, or judged pairs of several lengths")
        super().__init__(sentences, np.array([*domains]), positives=positives, **rest)
        self.domains, self.judged = [*domains], judged

    def batch(self, indices: np.ndarray) -> TextBatch:
        return super().batch(indices)._replace(domains=[self.domains[i] for i in indices])

    @property
    def facts(self) -> Mapping[str, Any]:
        """``domains``: every domain that occurs."""
        held_out = [
            d for part in (self, *self.splits().values()) if isinstance(part, DomainPairs) for d in part.domains
        ]
        return {"domains": sorted({*self.domains, *held_out})}

    def contents(self) -> Mapping[str, str]:
        parts = {**super().contents(), "domains": digest_of(self.domains)}
        return parts if self.judged is None else {**parts, "judged": digest_of([*self.judged])}


def made(examples: int, seed: int = 0) -> DomainPairs:
    """Generated pairs about one event each, in domains of four topics; others, half of them of two events, are held
    out."""
    first, second, domains = _pairs(examples, seed)
    a, b, of = _pairs(800, seed + 201)
    together = np.arange(len(a)) % 2
    places = {name: [row for row in range(len(of)) if of[row] == name and not together[row]] for name in set(of)}
    b = [*b]
    for rows in places.values():  # within its domain each takes the partner of the next
        turned = [b[row] for row in (*rows[1:], rows[0])]
        for row, text in zip(rows, turned, strict=True):
            b[row] = text
    test = DomainPairs(a, b, of, judged=(a, b, together, of), name="other pairs")
    return DomainPairs(first, second, domains, name="grammar-domains", splits={"test": test})


def _pairs(count: int, seed: int) -> tuple[list[str], list[str], list[str]]:
    from nearfar.text.data import grammar

    slots = grammar.grammar_corpus(count, seed=seed).slots
    other = grammar.grammar_corpus(count, seed=seed + 1000).slots.copy()
    event = [grammar.SLOTS.index(slot) for slot in ("agent", "action", "object", "place")]
    other[:, event] = slots[:, event]
    size = len(grammar.TOPICS) // GROUPS
    domains = [f"domain {number}" for number in (grammar.topics_of(slots) // size).tolist()]
    return grammar.verbalize(slots, seed), grammar.verbalize(other, seed + 1), domains


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> DomainPairs:
    """The rows of a table with ``domain``, ``sentence1`` and ``sentence2``.

    Where there is a ``score``, 1 is for those that belong together and 0 for the others: only the first are learned
    from, and all of them are told apart in evaluation.
    """
    columns = [table.columns[column] for column in ("sentence1", "sentence2", "domain")]
    scores = table.columns.get("score")
    marks = None if scores is None else [_mark(value) for value in scores]

    def reason(row: int) -> str:
        bad = next(filter(None, (why_no_text(column[row]) for column in columns)), "")
        return bad or ("its score is neither 0 nor 1" if marks is not None and marks[row] is None else "")

    reasons = [reason(row) for row in range(len(table.places))]
    kept = [row for row, why in enumerate(reasons) if not why]
    bad = [*table.bad, *((place, why) for place, why in zip(table.places, reasons, strict=True) if why)]
    skipped = Skipped(len(table.places) + len(table.bad), kind="pairs", **checks)
    skipped.set_aside(bad, where)
    learned = [row for row in kept if marks is None or marks[row] == 1]
    if not learned:
        raise ValueError(
            f"{where} holds no pair that belongs together: {', '.join(bad[0]) if bad else 'every score is 0'}"
        )
    first, second, domains = ([column[row] for row in learned] for column in columns)
    judged = None
    if marks is not None:
        a, b, of = ([column[row] for row in kept] for column in columns)
        judged = a, b, np.array([marks[row] for row in kept]), of
    return DomainPairs(first, second, domains, judged=judged, name=name, splits=splits, skipped=skipped)


def _mark(value: Any) -> int | None:
    try:
        return int(float(value)) if float(value) in (0.0, 1.0) else None
    except (TypeError, ValueError):
        return None
