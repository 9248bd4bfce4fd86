"""Captions changed by a word, and the words that ask for the change: triplets without a target picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["GROUPS", "CaptionEditor", "Edit", "WordEditor"]

GROUPS: tuple[tuple[str, ...], ...] = (
    (
        *("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"),
        *("black", "white", "brown", "grey", "gold", "silver"),
    ),
    ("small", "large"),
    ("circle", "square", "triangle", "star", "cross", "ring"),
    ("left", "right"),
    ("top", "bottom"),
    ("upper", "lower"),
    ("one", "two", "three", "four", "five", "six"),
    ("wooden", "metal", "plastic", "glass", "leather", "cotton", "silk", "denim"),
    ("short", "long"),
    ("man", "woman", "boy", "girl"),
    ("dog", "cat", "horse", "cow", "sheep", "bird"),
    ("car", "bus", "truck", "bicycle", "motorcycle", "train", "boat"),
    ("sitting", "standing", "walking", "running", "lying", "sleeping"),
    ("day", "night"),
    ("inside", "outside"),
    ("striped", "plain", "dotted", "checked", "floral"),
)
"""Words that take each other's place."""

TEMPLATES = ("make it {new}", "{new} instead of {old}", "the same but {new}", "change {old} to {new}")


class Edit(NamedTuple):
    """The words that ask for a change, and the caption once it is made."""

    instruction: str
    edited: str


class CaptionEditor(Protocol):
    """What changes captions: a language model, or rules such as :class:`WordEditor`'s."""

    def __call__(self, caption: str, draws: Sequence[float]) -> Edit | None:
        """An edit of a caption, drawn with the help of a few numbers in [0, 1); ``None`` where it can make none."""


@dataclass(frozen=True)
class WordEditor:
    """Exchanges one word of a caption for another of its group.

    It stands in for the language model of SCOT's paper where there is none, and knows no grammar: captions without any
    of its words are left alone. Better edits, of a language model or of people, are read from a table with the columns
    ``reference``, ``reference_caption``, ``change`` and ``edited_caption``.

    Attributes:
        groups: words that take each other's place; a word belongs to the first group that has it.
        templates: what asks for the change, with ``{new}`` and ``{old}``.
    """

    groups: tuple[tuple[str, ...], ...] = GROUPS
    templates: tuple[str, ...] = TEMPLATES

    draws = 3
    """Numbers that an edit takes."""

    def __call__(self, caption: str, draws: Sequence[float]) -> Edit | None:
        places = [(m, self._group(m.group().lower())) for m in re.finditer(r"[^\W\d_]+", caption)]
        places = [(m, group) for m, group in places if len(group) > 1]
        if not places:
            return None
        found, group = places[int(draws[0] * len(places))]
        old = found.group().lower()
        others = [word for word in group if word != old]
        new = others[int(draws[1] * len(others))]
        template = self.templates[int(draws[2] * len(self.templates))]
        edited = caption[: found.start()] + new + caption[found.end() :]
        return Edit(template.format(new=new, old=old), edited)

    def _group(self, word: str) -> tuple[str, ...]:
        return next((group for group in self.groups if word in group), ())
