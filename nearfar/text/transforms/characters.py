"""Slips of the pen: characters of words changed, each word with a probability."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nearfar.text.transforms.lexicon import Lexicon

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEAR = {
    letter: (row[max(at - 1, 0) : at] + row[at + 1 : at + 2]) or row for row in ROWS for at, letter in enumerate(row)
}
"""The keys beside each."""
LOOKS = dict(zip("o0l1i5s8b2zgq6", "0o1l1s58bz2qgb", strict=True))
"""What scanned letters are taken for."""

Slip = Callable[[str, int, np.random.Generator], str]


def swap(word: str, at: int, rng: np.random.Generator) -> str:
    at = min(at, len(word) - 2)
    return word if at < 0 else word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def drop(word: str, at: int, rng: np.random.Generator) -> str:
    return word[:at] + word[at + 1 :] if len(word) > 1 else word


def insert(word: str, at: int, rng: np.random.Generator) -> str:
    return word[:at] + LETTERS[int(rng.integers(len(LETTERS)))] + word[at:]


def replace(word: str, at: int, rng: np.random.Generator) -> str:
    return word[:at] + LETTERS[int(rng.integers(len(LETTERS)))] + word[at + 1 :]


def typo(word: str, at: int, rng: np.random.Generator) -> str:
    keys = NEAR.get(word[at].lower(), word[at])
    return word[:at] + keys[int(rng.integers(len(keys)))] + word[at + 1 :]


def scan(word: str, at: int, rng: np.random.Generator) -> str:
    places = [n for n, letter in enumerate(word) if letter.lower() in LOOKS]
    if not places:
        return word
    at = places[int(rng.integers(len(places)))]
    return word[:at] + LOOKS[word[at].lower()] + word[at + 1 :]


def slips(slip: Slip) -> Callable[[list[str], np.random.Generator, float, Lexicon], list[str]]:
    """A slip as a transform of words: each word has one with the probability that is the strength."""

    def change(words: list[str], rng: np.random.Generator, strength: float, lexicon: Lexicon) -> list[str]:
        hit = rng.random(len(words)) < strength
        return [
            slip(word, int(rng.integers(len(word))), rng) if here and not lexicon.guards(word) else word
            for word, here in zip(words, hit, strict=True)
        ]

    return change
