"""Embedded handwriting: twelve letters as strokes, in the hands of writers who differ as people do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nearfar.common.randomness import derive_seed
from nearfar.generation.data.ink import Inks

WRITERS, TEST_WRITERS = 60, 20
TRAIN = 900
LETTERS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "c": (((0.45, 0.5), (0.22, 0.4), (0.02, 0.7), (0.2, 1.0), (0.45, 0.9)),),
    "e": (((0.05, 0.7), (0.45, 0.68), (0.25, 0.4), (0.02, 0.7), (0.2, 1.0), (0.45, 0.92)),),
    "h": (((0.0, 0.0), (0.0, 1.0)), ((0.0, 0.6), (0.25, 0.42), (0.4, 0.6), (0.42, 1.0))),
    "i": (((0.05, 0.4), (0.05, 1.0)), ((0.05, 0.12), (0.06, 0.2))),
    "l": (((0.05, 0.0), (0.05, 0.9), (0.15, 1.0)),),
    "n": (((0.0, 0.4), (0.0, 1.0)), ((0.0, 0.55), (0.25, 0.4), (0.4, 0.55), (0.42, 1.0))),
    "o": (((0.25, 0.4), (0.02, 0.7), (0.25, 1.0), (0.48, 0.7), (0.25, 0.4)),),
    "t": (((0.2, 0.1), (0.2, 0.9), (0.35, 1.0)), ((0.0, 0.38), (0.4, 0.38))),
    "u": (((0.0, 0.4), (0.05, 0.9), (0.25, 1.0), (0.42, 0.8), (0.42, 0.4), (0.45, 1.0)),),
    "v": (((0.0, 0.4), (0.22, 1.0), (0.45, 0.4)),),
    "x": (((0.0, 0.4), (0.42, 1.0)), ((0.42, 0.4), (0.0, 1.0))),
    "z": (((0.0, 0.4), (0.42, 0.4), (0.0, 1.0), (0.45, 1.0)),),
}


class Hand(NamedTuple):
    """What stays the same whatever somebody writes: the lean, the width of letters, the room between letters and
    between words, how letters bulge, how unsteady the hand is, and how far the line rises."""

    lean: float
    width: float
    room: float
    gap: float
    bulge: float
    shake: float
    rise: float


def hand(rng: np.random.Generator) -> Hand:
    """Somebody new."""
    low = (-0.4, 0.7, 0.12, 0.5, -0.12, 0.01, -0.03)
    high = (0.5, 1.3, 0.4, 0.9, 0.12, 0.03, 0.03)
    return Hand(*rng.uniform(low, high).tolist())


def written(text: str, by: Hand, rng: np.random.Generator) -> np.ndarray:
    """(P, 3) points of a text of :data:`LETTERS` and spaces."""
    left, found = 0.0, []
    for letter in text:
        if letter == " ":
            left += by.gap
            continue
        widest = 0.0
        for stroke in LETTERS[letter]:
            x, y = np.array(stroke).T
            widest = max(widest, float(x.max()))
            across = x * by.width + by.lean * (1 - y) + by.bulge * np.sin(np.pi * y)
            points = np.c_[left + across, y + by.rise * left] + by.shake * rng.normal(size=(len(x), 2))
            found.append(np.c_[points, np.arange(len(x)) == len(x) - 1])
        left += widest * by.width + by.room
    return np.concatenate(found).astype(np.float32)


def some_text(rng: np.random.Generator, length: int) -> str:
    """Words of 2 to 5 random letters, ``length`` letters and spaces in all."""
    words, left = [], length
    while left > 0:
        word = left if left <= 5 else min(int(rng.integers(2, 6)), left - 3)
        words.append("".join(rng.choice([*LETTERS], word)))
        left -= word + 1
    return " ".join(words)


def inks(examples: int | None = None, seed: int = 0) -> Inks:
    """The embedded set ``inks``: texts of 3 to 8 letters by 60 writers; 120 texts by 20 other writers are held out."""
    test = written_by(TEST_WRITERS, 6 * TEST_WRITERS, seed + 1_000_003, "inks, test")
    train = written_by(WRITERS, examples or TRAIN, seed, "inks")
    train._splits = {"test": test}
    return train


def written_by(writers: int, count: int, seed: int, name: str, lengths: tuple[int, int] = (3, 8)) -> Inks:
    """``count`` inks by ``writers`` writers in turn, with texts of ``lengths``, both included."""
    rng = np.random.default_rng(derive_seed(seed, "inks"))
    hands = [hand(rng) for _ in range(writers)]
    texts = [some_text(rng, int(rng.integers(lengths[0], lengths[1] + 1))) for _ in range(count)]
    points = [written(text, hands[n % writers], rng) for n, text in enumerate(texts)]
    return Inks(points, texts, [f"{seed}-{n % writers}" for n in range(count)], name=name)
