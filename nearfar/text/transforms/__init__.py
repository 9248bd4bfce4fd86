"""Transforms of texts by name, each with its place among them: what is changed, and whether the meaning stays.

After Bhattacharjee et al., 2022, IJCAI survey track, arXiv 2203.12000: a transform that makes positives keeps what a
text means and changes how it looks. The grouping into levels is ours. Translations and paraphrases come from the
user's own function (:func:`rewriting`); transforms of embedded words work inside an encoder. Of those reviewed are not
here: words replaced by their TF-IDF or by a masked language model, mixed texts, adversarial noise, and spans of longer
documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from nearfar.spelling import one_of
from nearfar.text.transforms import characters, states, words
from nearfar.text.transforms.lexicon import Lexicon

__all__ = ["TRANSFORMS", "Level", "Lexicon", "Transform", "changed", "list_transforms", "rewriting", "transform_of"]

Level = Literal["character", "word", "span", "sentence", "representation"]


@dataclass(frozen=True)
class Transform:
    """A way of making another text of a text.

    Attributes:
        name: by which it is called.
        level: what it changes.
        about: what it does, with where it comes from.
        change: of words ``(words, generator, strength, lexicon) -> words``; of embedded words as in
            :mod:`nearfar.text.transforms.states`; ``None`` where dropout alone makes the difference.
        strength: usually a share; ``None`` where there is no more or less.
        keeps: whether it is meant to keep the meaning. What does not makes negatives.
        needs: what it takes from the user; empty where it works by itself.
    """

    name: str
    level: Level
    about: str
    change: Callable[..., Any] | None
    strength: float | None = None
    keeps: bool = True
    needs: str = ""

    @property
    def inside(self) -> bool:
        """Whether it works inside the encoder, and leaves the text as it is."""
        return self.level == "representation"


def _table(level: Level, *rows: tuple[Any, ...]) -> dict[str, Transform]:
    return {row[0]: Transform(row[0], level, *row[1:]) for row in rows}


_slips = {
    "char-swap": (characters.swap, "two neighbouring characters of a word change places"),
    "char-drop": (characters.drop, "a character of a word is left out"),
    "char-insert": (characters.insert, "a letter is put into a word"),
    "char-replace": (characters.replace, "a character of a word becomes another"),
    "typo": (characters.typo, "a character of a word becomes one beside it on the keyboard"),
    "ocr": (characters.scan, "a character of a word becomes one that looks like it"),
}

TRANSFORMS: Mapping[str, Transform] = {
    **_table("character", *((name, about, characters.slips(slip), 0.1) for name, (slip, about) in _slips.items())),
    **_table(
        "word",
        ("synonyms", "words that can stand for words (EDA, arXiv 1901.11196)", words.synonyms, 0.1),
        ("insertion", "synonyms of words put anywhere (EDA)", words.insertion, 0.1),
        ("swap", "words change places (EDA)", words.swap, 0.1),
        ("deletion", "words are left out (EDA)", words.deletion, 0.1),
        ("repetition", "words are said twice (ESimCSE, arXiv 2109.04380)", words.repetition, 0.32),
        ("entities", "names become other names (MERIt)", words.entities, None, False, "a list of names"),
        ("negation", "the opposite is said (CLINE, arXiv 2107.00440)", words.negation, None, False),
    ),
    **_table(
        "span",
        ("crop", "a part of the text, from this share of its words to nine tenths", words.crop, 0.5),
        ("span-deletion", "words in a row are left out (CLEAR, arXiv 2012.15466)", words.span_deletion, 0.1),
        ("reorder", "spans in another order (CLEAR)", words.reorder, 0.25),
    ),
    **_table("sentence", ("sentences", "the sentences of a text in another order", words.sentences)),
    **_table(
        "representation",
        ("dropout", "the same text under another dropout mask (SimCSE)", None),
        ("token-cutoff", "embedded words set to 0 (ConSERT, arXiv 2105.11741)", states.tokens, 0.15),
        ("feature-cutoff", "features of embedded words set to 0 (ConSERT)", states.features, 0.2),
        ("positions", "words at other positions (ConSERT)", states.positions),
        ("noise", "normal noise on embedded words", states.noise, 0.1),
    ),
}
"""By name."""


def list_transforms(*, level: str | None = None, keeps: bool | None = None) -> list[Transform]:
    """Those of a level, and those that are or are not meant to keep the meaning.

    Raises:
        ValueError: a level that is none.
    """
    if level is not None and level not in get_args(Level):
        raise ValueError(f"level must be one of {', '.join(get_args(Level))}; got {level!r}")
    found = TRANSFORMS.values()
    return [t for t in found if level in (None, t.level) and keeps in (None, t.keeps)]


def transform_of(name: str | Transform) -> Transform:
    """The transform of this name, or the one that is given."""
    if isinstance(name, Transform):
        return name
    if name not in TRANSFORMS:
        raise ValueError(f"unknown transform {name!r}{one_of(name, TRANSFORMS)}")
    return TRANSFORMS[name]


def rewriting(name: str, function: Callable[[str], str], *, keeps: bool = True) -> Transform:
    """A transform that is the user's own function of a text, such as a translation there and back."""

    def change(given: list[str], rng: np.random.Generator, strength: float, lexicon: Lexicon) -> list[str]:
        return function(" ".join(given)).split() or given

    return Transform(name, "sentence", "the user's own", change, keeps=keeps, needs="a function")


def changed(
    texts: Sequence[str],
    transform: str | Transform,
    seeds: Sequence[int],
    *,
    strength: float | None = None,
    lexicon: Lexicon | None = None,
) -> list[str]:
    """Texts after a transform; as they are, under one that works inside the encoder.

    Args:
        texts: N strings. White space becomes single spaces.
        transform: by name, or one of the user's own.
        seeds: N numbers; the same one makes the same of a text.
        strength: of the transform; its own when not given.
        lexicon: protected words, synonyms and so on.

    Raises:
        ValueError: a name that is unknown, or a strength that is outside of [0, 1].
    """
    transform, lexicon = transform_of(transform), lexicon or Lexicon()
    amount = transform.strength if strength is None else strength
    if amount is not None and not 0 <= amount <= 1:
        raise ValueError(f"the strength of a transform is in [0, 1], got {amount}")
    if transform.inside or transform.change is None:
        return [*texts]
    found = []
    for text, seed in zip(texts, seeds, strict=True):
        given = text.split()
        made = transform.change(given, np.random.default_rng(seed), amount, lexicon) if given else given
        found.append(" ".join(made))
    return found
