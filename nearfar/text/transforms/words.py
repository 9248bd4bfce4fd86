"""Words and spans of words changed: replaced, repeated, moved, left out, turned round.

Every function takes the words of a text (at least one), a generator, the strength and a lexicon, and returns words.
"""

from __future__ import annotations

import numpy as np

from nearfar.text.transforms.lexicon import AUXILIARIES, STOP_WORDS, Lexicon

Words = list[str]


def _count(words: Words, share: float) -> int:
    """EDA's number of words: the share of them, at least one."""
    return max(1, round(share * len(words)))


def _known(words: Words, lexicon: Lexicon) -> list[int]:
    """Places of words that have synonyms and may be replaced."""
    return [
        n
        for n, word in enumerate(words)
        if word.lower() in lexicon.synonyms and word.lower() not in STOP_WORDS and not lexicon.guards(word)
    ]


def _one(choices: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def synonyms(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    found = [*words]
    places = _known(words, lexicon)
    for n in rng.permutation(len(places))[: _count(words, strength)]:
        found[places[n]] = _one([*lexicon.synonyms[words[places[n]].lower()]], rng)
    return found


def insertion(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    found = [*words]
    places = _known(words, lexicon)
    for _ in range(_count(words, strength) if places else 0):
        word = words[places[int(rng.integers(len(places)))]]
        found.insert(int(rng.integers(len(found) + 1)), _one([*lexicon.synonyms[word.lower()]], rng))
    return found


def swap(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    found = [*words]
    free = [n for n, word in enumerate(words) if not lexicon.guards(word)]
    for _ in range(_count(words, strength) if len(free) > 1 else 0):
        a, b = (free[n] for n in rng.permutation(len(free))[:2])
        found[a], found[b] = found[b], found[a]
    return found


def deletion(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    kept = [w for w, u in zip(words, rng.random(len(words)), strict=True) if u >= strength or lexicon.guards(w)]
    return kept or [words[int(rng.integers(len(words)))]]


def repetition(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    count = int(rng.integers(max(2, int(strength * len(words))) + 1))
    twice = {*rng.permutation(len(words))[:count].tolist()}
    return [word for n, word in enumerate(words) for _ in range(2 if n in twice else 1)]


def entities(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    names = sorted(lexicon.entities)
    return [
        _one(others, rng) if word in lexicon.entities and (others := [n for n in names if n != word]) else word
        for word in words
    ]


def crop(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    """A span of a share that is drawn from ``strength`` to 0.9, or from it where it is more."""
    share = strength + (max(0.9, strength) - strength) * rng.random()
    length = max(1, round(share * len(words)))
    start = int(rng.integers(len(words) - length + 1))
    return words[start : start + length]


def span_deletion(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    length = min(_count(words, strength), len(words) - 1)
    start = int(rng.integers(len(words) - length + 1))
    return [w for n, w in enumerate(words) if not start <= n < start + length or lexicon.guards(w)]


def reorder(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    """Cut into spans of the share of words that is the strength, in another order."""
    length = _count(words, strength)
    spans = [words[n : n + length] for n in range(0, len(words), length)]
    return [word for n in rng.permutation(len(spans)) for word in spans[n]]


def sentences(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    """The sentences of a text, ended by marks, in another order."""
    found: list[Words] = [[]]
    for word in words:
        found[-1].append(word)
        if word[-1] in ".!?":
            found.append([])
    whole = [each for each in found if each]
    return [word for n in rng.permutation(len(whole)) for word in whole[n]]


def negation(words: Words, rng: np.random.Generator, strength: float, lexicon: Lexicon) -> Words:
    """The opposite: without the negation that is there, with an antonym, with "not", or denied as a whole."""
    lower = [word.lower() for word in words]
    for n, word in enumerate(lower):
        if word in ("not", "never"):
            return [*words[:n], *words[n + 1 :]] if len(words) > 1 else ["yes"]
    known = [n for n, word in enumerate(lower) if word in lexicon.antonyms]
    if known:
        n = known[int(rng.integers(len(known)))]
        return [*words[:n], lexicon.antonyms[lower[n]], *words[n + 1 :]]
    auxiliary = next((n for n, word in enumerate(lower) if word in AUXILIARIES), None)
    if auxiliary is not None:
        return [*words[: auxiliary + 1], "not", *words[auxiliary + 1 :]]
    return ["it", "is", "not", "true", "that", *words]
