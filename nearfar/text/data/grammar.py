"""English-like sentences with known meaning: the default data of every text method.

A meaning is eight slots: who, did what, to what, of what quality, how, where, when, and whether it happened
at all. A sentence expresses it with drawn synonyms in a drawn construction: active or passive, cleft or
not, with time or place in front. Two sentences can thus share their meaning and few words, or most words
and not the meaning. Sentences are lower case without punctuation, of 5 to about 25 words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfar.text.data import lexicon
from nearfar.text.data.topics import TOPICS as _CONTENT

__all__ = [
    "SLOTS",
    "TOPICS",
    "Corpus",
    "SimilarityPairs",
    "Triplets",
    "chains",
    "grammar_corpus",
    "intents",
    "similarity_pairs",
    "slot_similarity",
    "topics_of",
    "triplets",
    "verbalize",
]

SLOTS = ("agent", "action", "object", "quality", "manner", "place", "time", "polarity")
TOPICS = tuple(_CONTENT)

_AGENT, _ACTION, _OBJECT, _QUALITY, _MANNER, _PLACE, _TIME, _POLARITY = range(len(SLOTS))
_ACTIONS = [lexicon.verb_forms(concept) for topic in _CONTENT.values() for concept in topic.actions]
_OBJECTS = [concept.split("|") for topic in _CONTENT.values() for concept in topic.objects]
_FREE = {
    slot: [concept.split("|") for concept in concepts]
    for slot, concepts in (
        (_AGENT, lexicon.AGENTS),
        (_QUALITY, lexicon.QUALITIES),
        (_MANNER, lexicon.MANNERS),
        (_PLACE, lexicon.PLACES),
        (_TIME, lexicon.TIMES),
    )
}
_TYPICAL = {
    slot: np.array([[[words[0] for words in _FREE[slot]].index(name) for name in names] for names in typical])
    for slot, typical in (
        (_AGENT, [topic.agents for topic in _CONTENT.values()]),
        (_PLACE, [topic.places for topic in _CONTENT.values()]),
    )
}
_TYPICAL_SHARE = 0.6
_PER_TOPIC = {_ACTION: len(_ACTIONS) // len(TOPICS), _OBJECT: len(_OBJECTS) // len(TOPICS)}
_PRESENT = {_QUALITY: 0.4, _MANNER: 0.3, _PLACE: 0.5, _TIME: 0.4}
_NEGATED = 0.25

Slots = NDArray[np.int64]


class Corpus(NamedTuple):
    """Sentences with their meaning, `slots` int64 (n, 8) with columns in the order of `SLOTS`.

    Equal numbers in a column mean the same, -1 means not expressed; polarity is 1 if affirmed, 0 if negated.
    `topics_of(slots)` gives the topics.
    """

    sentences: list[str]
    slots: Slots


class SimilarityPairs(NamedTuple):
    """Sentence pairs with gold similarity in [0, 5], float64 (n,)."""

    first: list[str]
    second: list[str]
    gold: NDArray[np.float64]


class Triplets(NamedTuple):
    """Anchors, sentences that follow from them, and sentences that look alike but mean something else."""

    anchors: list[str]
    entailed: list[str]
    contradictions: list[str]


def grammar_corpus(n: int, seed: int = 0, topics: Sequence[int] | None = None) -> Corpus:
    """Draw `n` sentences with their meaning.

    Parameters
    ----------
    n
        Number of sentences.
    seed
        Equal arguments give equal sentences. Different seeds share about one sentence in a thousand.
    topics
        Indices into `TOPICS` to draw from, uniformly; all 16 by default. Leave some out to test on them.

    Raises
    ------
    ValueError
        If `n` is not positive, `seed` is negative, or `topics` is empty or names an unknown topic.
    """
    rng, allowed = _start(n, seed, 0, topics)
    drawn = allowed[rng.integers(len(allowed), size=n)]
    slots = _meanings(drawn, rng)
    return Corpus(_verbalize(slots, rng), slots)


def intents(n: int, seed: int = 0, topics: Sequence[int] | None = None) -> tuple[list[str], NDArray[np.int64]]:
    """Draw `n` sentences labelled with their topic, int64 indices into `TOPICS`.

    Classes are balanced: their counts differ by at most one. Parameters and errors as in `grammar_corpus`.
    """
    rng, allowed = _start(n, seed, 1, topics)
    labels = rng.permutation(np.resize(allowed, n))
    return _verbalize(_meanings(labels, rng), rng), labels


def similarity_pairs(n: int, seed: int = 0, topics: Sequence[int] | None = None) -> SimilarityPairs:
    """Draw `n` sentence pairs whose gold similarity is 5 x `slot_similarity` of their meanings.

    The number of slots in which the second sentence differs is uniform over 0 to 8, so paraphrases, near
    misses and unrelated sentences are all common. Parameters and errors as in `grammar_corpus`.
    """
    rng, allowed = _start(n, seed, 2, topics)
    drawn = allowed[rng.integers(len(allowed), size=n)]
    first = _meanings(drawn, rng)
    count = rng.integers(len(SLOTS) + 1, size=n)
    changed = np.argsort(np.argsort(rng.random((n, len(SLOTS))), axis=1), axis=1) < count[:, None]
    second = _altered(first, changed, allowed, rng)
    gold = 5 * slot_similarity(first, second)
    return SimilarityPairs(_verbalize(first, rng), _verbalize(second, rng), gold)


def triplets(n: int, seed: int = 0, topics: Sequence[int] | None = None) -> Triplets:
    """Draw `n` triplets for supervised contrast with hard negatives.

    The entailed sentence is a paraphrase; half of those of affirmed anchors also leave one detail (quality,
    manner, place or time) unsaid. The contradiction has, in equal shares, the opposite polarity or one other
    agent, action, object, place or time, and words drawn anew. Parameters and errors as in `grammar_corpus`.
    """
    rng, allowed = _start(n, seed, 3, topics)
    drawn = allowed[rng.integers(len(allowed), size=n)]
    anchor = _meanings(drawn, rng)
    rows = np.arange(n)

    entailed = anchor.copy()
    details = np.array(list(_PRESENT))
    left_out = details[np.argmax(rng.random((n, len(details))) * (anchor[:, details] >= 0), axis=1)]
    # A detail may be dropped from "did it at noon", not from "did not do it at noon".
    shortened = (rng.random(n) < 0.5) & (anchor[:, _POLARITY] == 1)
    entailed[rows[shortened], left_out[shortened]] = -1

    facts = np.array([_AGENT, _ACTION, _OBJECT, _PLACE, _TIME])
    fact = facts[np.argmax(rng.random((n, len(facts))) * (anchor[:, facts] >= 0), axis=1)]
    changed = np.zeros(anchor.shape, dtype=bool)
    changed[rows, np.where(rng.random(n) < 0.5, _POLARITY, fact)] = True
    contradiction = _altered(anchor, changed, allowed, rng, omit=False)
    return Triplets(*(_verbalize(meaning, rng) for meaning in (anchor, entailed, contradiction)))


def chains(n: int, seed: int = 0, topics: Sequence[int] | None = None) -> list[list[str]]:
    """Draw `n` lists of nine sentences: each next one differs from the one before in one more slot, and in its words.

    No slot changes twice, so that meanings move away from the first and never come back. Parameters and errors as in
    `grammar_corpus`.
    """
    rng, allowed = _start(n, seed, 5, topics)
    meanings = [_meanings(allowed[rng.integers(len(allowed), size=n)], rng)]
    slots = rng.permuted(np.tile(np.arange(len(SLOTS)), (n, 1)), axis=1)
    for slot in slots.T:
        meanings.append(_altered(meanings[-1], np.arange(len(SLOTS)) == slot[:, None], allowed, rng, omit=False))
    return [[*rewrites] for rewrites in zip(*(_verbalize(meaning, rng) for meaning in meanings), strict=True)]


def slot_similarity(first: Slots, second: Slots) -> NDArray[np.float64]:
    """Share of equal slots among those expressed in at least one of two meanings (n, 8): (n,) in [0, 1]."""
    expressed = (first >= 0) | (second >= 0)
    return ((first == second) & expressed).sum(1) / expressed.sum(1)


def topics_of(slots: Slots) -> NDArray[np.int64]:
    """Topics (n,), indices into `TOPICS`, of meanings (n, 8)."""
    return slots[:, _ACTION] // _PER_TOPIC[_ACTION]


def verbalize(slots: Slots, seed: int = 0) -> list[str]:
    """Express meanings (n, 8), such as `Corpus.slots`, in sentences; another seed gives other words for them.

    Raises
    ------
    ValueError
        If the shape is not (n, 8), an index is out of range, agent, action or object is missing, or an action
        and its object belong to different topics.
    """
    slots = np.asarray(slots)
    if slots.ndim != 2 or slots.shape[1] != len(SLOTS):
        raise ValueError(f"slots must have shape (n, {len(SLOTS)}) in the order {SLOTS}, got {slots.shape}")
    for slot, name in enumerate(SLOTS):
        low = -1 if slot in _PRESENT else 0
        column = slots[:, slot]
        if len(column) and not (low <= column.min() and column.max() < _size(slot)):
            raise ValueError(f"{name} must lie in [{low}, {_size(slot) - 1}], got {column.min()} to {column.max()}")
    if (topics_of(slots) != slots[:, _OBJECT] // _PER_TOPIC[_OBJECT]).any():
        raise ValueError("action and object of a sentence must belong to the same topic")
    return _verbalize(slots, np.random.default_rng([seed, 4]))


def _start(
    n: int, seed: int, stream: int, topics: Sequence[int] | None
) -> tuple[np.random.Generator, NDArray[np.int64]]:
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    allowed = np.arange(len(TOPICS)) if topics is None else np.unique(np.asarray(topics, dtype=np.int64))
    if len(allowed) == 0 or allowed[0] < 0 or allowed[-1] >= len(TOPICS):
        raise ValueError(f"topics must be a non-empty choice from 0 to {len(TOPICS) - 1}, got {topics!r}")
    return np.random.default_rng([seed, stream]), allowed


def _size(slot: int) -> int:
    fixed = {_ACTION: len(_ACTIONS), _OBJECT: len(_OBJECTS), _POLARITY: 2}
    return fixed[slot] if slot in fixed else len(_FREE[slot])


def _meanings(topics: NDArray[np.int64], rng: np.random.Generator) -> Slots:
    n = len(topics)
    slots = np.empty((n, len(SLOTS)), dtype=np.int64)
    for slot, concepts in _FREE.items():
        slots[:, slot] = rng.integers(len(concepts), size=n)
    for slot, typical in _TYPICAL.items():
        own = typical[topics, rng.integers(typical.shape[1], size=n)]
        slots[:, slot] = np.where(rng.random(n) < _TYPICAL_SHARE, own, slots[:, slot])
    for slot, size in _PER_TOPIC.items():
        slots[:, slot] = topics * size + rng.integers(size, size=n)
    for slot, share in _PRESENT.items():
        slots[rng.random(n) >= share, slot] = -1
    slots[:, _POLARITY] = rng.random(n) >= _NEGATED
    return slots


def _altered(
    slots: Slots,
    changed: NDArray[np.bool_],
    allowed: NDArray[np.int64],
    rng: np.random.Generator,
    omit: bool = True,
) -> Slots:
    """Copy of meanings in which exactly the marked slots differ; with `omit` a detail may fall silent."""
    n = len(slots)
    out = slots.copy()
    topic = topics_of(slots)
    # A new topic needs a new action and a new object; if only one of them changes, the topic stays.
    both = changed[:, _ACTION] & changed[:, _OBJECT]
    topic = np.where(both, allowed[rng.integers(len(allowed), size=n)], topic)
    for slot, size in _PER_TOPIC.items():
        old = slots[:, slot] - topic * size
        other = (old + rng.integers(1, size, size=n)) % size
        new = np.where((old >= 0) & (old < size), other, rng.integers(size, size=n))
        out[:, slot] = np.where(changed[:, slot], topic * size + new, slots[:, slot])
    for slot, concepts in _FREE.items():
        old, size = slots[:, slot], len(concepts)
        new = np.where(old < 0, rng.integers(size, size=n), (np.maximum(old, 0) + rng.integers(1, size, size=n)) % size)
        if omit and slot in _PRESENT:
            new[(old >= 0) & (rng.random(n) >= _PRESENT[slot])] = -1
        out[:, slot] = np.where(changed[:, slot], new, old)
    out[:, _POLARITY] ^= changed[:, _POLARITY]
    return out


def _verbalize(slots: Slots, rng: np.random.Generator) -> list[str]:
    draws = rng.integers(6, size=slots.shape).tolist()  # 6 is a multiple of every number of synonyms
    voices = rng.choice(4, size=len(slots), p=[0.35, 0.35, 0.15, 0.15]).tolist()
    fronts = rng.choice(3, size=len(slots), p=[0.4, 0.35, 0.25]).tolist()
    return [
        _sentence(meaning, draw, voice, front)
        for meaning, draw, voice, front in zip(slots.tolist(), draws, voices, fronts, strict=True)
    ]


def _sentence(meaning: list[int], draw: list[int], voice: int, front: int) -> str:
    def words(slot: int) -> str:
        synonyms = _FREE[slot][meaning[slot]]
        return synonyms[draw[slot] % len(synonyms)] if meaning[slot] >= 0 else ""

    agent, quality, manner, place, time = (words(slot) for slot in (_AGENT, _QUALITY, _MANNER, _PLACE, _TIME))
    verbs, nouns = _ACTIONS[meaning[_ACTION]], _OBJECTS[meaning[_OBJECT]]
    verb = verbs[draw[_ACTION] % len(verbs)]
    thing = f"the {quality} {nouns[draw[_OBJECT] % len(nouns)]}"
    if meaning[_POLARITY]:
        did, was = verb.past, f"was {verb.participle}"
    else:
        did = (f"did not {verb.base}", f"never {verb.past}", f"failed to {verb.base}")[draw[_POLARITY] % 3]
        was = (f"was not {verb.participle}", f"was never {verb.participle}")[draw[_POLARITY] % 2]
    clause = (
        f"{agent} {did} {thing}",
        f"{thing} {was} by {agent}",
        f"it was {agent} who {did} {thing}",
        f"it was {thing} that {agent} {did}",
    )[voice]
    order = ((clause, manner, place, time), (time, clause, manner, place), (place, clause, manner, time))[front]
    return " ".join(" ".join(order).split())
