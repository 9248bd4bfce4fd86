"""What is said to assistants, with annotations as trees where there are any: tables of it, and generated ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.tables import Table, why_no_text
from nearfar.text.data.sentences import Sentences
from nearfar.text.frames import Frame, frame_of, likeness
from nearfar.text.method import TextBatch
from nearfar.training import Data

__all__ = ["Dialogs", "made", "read"]

PAIRS = 600


class Dialogs(Sentences):
    """Dialogs, some of them annotated. Their labels are their intents, with domains.

    Args:
        sentences: N strings.
        frames: of each what it is annotated with, or ``None``.
        name, splits, skipped: as of :class:`Sentences`.

    Attributes:
        annotated: (N,) bool, those with annotations that are not empty.
        pairs: of annotated ones, with how alike their trees are (:func:`nearfar.text.frames.likeness`).
    """

    def __init__(self, sentences: Sequence[str], frames: Sequence[Frame | None], **rest: Any) -> None:
        self.frames = [*frames]
        self.annotated = np.array([bool(frame) for frame in self.frames])
        labels = np.array([_intents(frame) for frame in self.frames])
        super().__init__(sentences, labels, pairs=self._pairs([*sentences]), **rest)

    def _pairs(self, sentences: list[str]) -> tuple[list[str], list[str], np.ndarray] | None:
        rows = np.flatnonzero(self.annotated)
        if len(rows) < 4:
            return None
        drawn = np.random.default_rng(0).integers(len(rows), size=(PAIRS, 2))
        pairs = rows[drawn[drawn[:, 0] != drawn[:, 1]]]
        gold = [likeness(self.frames[a] or {}, self.frames[b] or {}) for a, b in pairs]
        return [sentences[a] for a in pairs[:, 0]], [sentences[b] for b in pairs[:, 1]], np.array(gold)

    def batch(self, indices: np.ndarray) -> TextBatch:
        return super().batch(indices)._replace(frames=[self.frames[i] for i in indices])

    def contents(self) -> Mapping[str, str]:
        return {**super().contents(), "frames": digest_of([json.dumps(frame, sort_keys=True) for frame in self.frames])}


def _intents(frame: Frame | None) -> str:
    return " + ".join(sorted(f"{domain}: {intent}" for domain, of in (frame or {}).items() for intent in of))


def read(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Dialogs:
    """The rows of a table with a text as ``dialog`` and, as ``frame``, its annotations: an object of domains, with
    intents, with slots, with values (see :data:`nearfar.text.frames.Frame`), or that as JSON. An empty cell is a dialog
    that nobody annotated."""
    found: list[Frame | None] = []
    reasons = []
    for text, cell in zip(table.columns["dialog"], table.columns["frame"], strict=True):
        reason = why_no_text(text)
        frame = None
        try:
            value = json.loads(cell) if isinstance(cell, str) and cell.strip() else cell or None
            frame = None if value is None or isinstance(value, str) else frame_of(value)
        except (ValueError, RecursionError) as error:
            reason = reason or f"the frame cannot be read: {error}"
        found.append(frame)
        reasons.append(reason)
    table = Table({**table.columns, "frame": found}, table.places, table.bad).without(reasons.__getitem__)
    skipped = table.set_aside(where, kind="dialogs", nothing="dialog", **checks)
    return Dialogs(table.columns["dialog"], table.columns["frame"], name=name, splits=splits, skipped=skipped)


DOMAINS = {
    "hotel": "room|guesthouse|place to sleep",
    "restaurant": "table|place to eat|meal",
    "train": "train|rail ticket|seat on the express",
    "taxi": "taxi|cab|driver",
    "museum": "museum visit|exhibition pass|gallery tour",
    "doctor": "appointment|consultation|slot with the physician",
}
INTENTS = {
    "book": "please reserve a {}|i would like to book a {}|get me a {}|arrange a {} for me",
    "cancel": "call off the {}|please cancel my {}|i no longer need the {}|forget about the {}",
    "find": "is there a {}|i am looking for a {}|show me a {}|which {} do you know",
    "change": "can you move my {}|please modify the {}|something about my {} must be different|alter the {}",
    "price": "what does a {} cost|how much is the {}|tell me the fee of a {}|is the {} within a small budget",
}
SLOTS = {
    "area": ("in the {}|around the {}|{} part of town", ["north|upper end", "south|lower end", "centre|middle"]),
    "day": ("on {}|it is for {}", ["monday|the first weekday", "friday|the last weekday", "sunday|the day of rest"]),
    "people": ("for {}|we are {}", ["one|just me", "two|a couple", "four|a family of four", "six|half a dozen"]),
    "quality": (
        "that is {}|something {}",
        ["cheap|inexpensive", "fancy|luxurious", "quiet|calm", "nearby|close by"],
    ),
}
"""Of every slot how it is said, and its values, the first of their names being the annotated one."""
ANNOTATED = 0.1
"""Share of the generated dialogs that are annotated."""


def made(examples: int, seed: int = 0, annotated: float = ANNOTATED) -> Dialogs:
    """One or two wishes in an utterance, a share of them annotated; 400 others, all annotated, held out as ``test``.

    Values, intents and domains are said in several words, and every domain has the same intents and slots.
    """
    rng = np.random.default_rng([seed, 41])
    texts, frames = _drawn(examples, rng)
    known = rng.random(examples) < annotated
    shown = [frame if here else None for frame, here in zip(frames, known, strict=True)]
    test = Dialogs(*_drawn(400, np.random.default_rng([seed, 42])), name="held-out dialogs")
    return Dialogs(texts, shown, name="dialogs", splits={"test": test})


def _drawn(count: int, rng: np.random.Generator) -> tuple[list[str], list[Frame | None]]:
    texts: list[str] = []
    frames: list[Frame | None] = []
    for _ in range(count):
        frame: dict[str, dict[str, dict[str, list[str]]]] = {}
        said = []
        domain = _one(rng, [*DOMAINS])
        for intent in [[*INTENTS][i] for i in rng.permutation(len(INTENTS))[: 1 + (rng.random() < 0.25)]]:
            words = [_one(rng, INTENTS[intent].split("|")).format(_one(rng, DOMAINS[domain].split("|")))]
            slots: dict[str, list[str]] = {}
            for slot in [[*SLOTS][i] for i in rng.permutation(len(SLOTS))[: rng.integers(3)]]:
                ways, values = SLOTS[slot]
                names = _one(rng, values).split("|")
                slots[slot] = names[:1]
                words.append(_one(rng, ways.split("|")).format(_one(rng, names)))
            frame.setdefault(domain, {})[intent] = slots
            said.append(" ".join(words))
        texts.append(" and ".join(said))
        frames.append(frame)
    return texts, frames


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
