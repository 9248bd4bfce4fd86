"""Generated collections of sounds, each with what a good representation must find."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from nearfar.audio.data.captions import CaptionedSounds
from nearfar.audio.data.sounds import Sounds
from nearfar.audio.data.synthesis import EVENTS, RATE, WORDS, event, in_a_room, speaker, utter, with_noise

__all__ = ["compositions", "events", "noises", "voices", "words"]

PITCHES = {"low": 300.0, "middle": 650.0, "high": 1400.0}
TEMPI = {"slow": 2.0, "quick": 6.0}
TEMPLATES = (
    "a {tempo} {pitch} {event}",
    "there is a {pitch} and {tempo} {event}",
    "a {event}, {pitch} and {tempo}, can be heard",
    "the sound of a {event} that is {tempo} and {pitch}",
    "someone recorded a {pitch} {event} in a {tempo} rhythm",
)


def noises(count: int = 400, *, held_out: int = 240, seconds: float = 1.6, seed: int = 0) -> Sounds:
    """Recordings of events, each of one of eight kinds, under noise.

    About every half second of a recording another event of its kind begins, of another pitch and tempo, so that the
    kind is what the stretches of a recording have in common; labels are the kinds.

    Args:
        count: number of recordings for training, at least 8.
        held_out: number of recordings for test.
        seconds: length of each.
        seed: equal arguments give equal sounds.
    """
    _at_least("noises", count, 8)
    rng = np.random.default_rng(seed)
    test = Sounds(*_noises(held_out, seconds, rng), name="noises test")
    return Sounds(*_noises(count, seconds, rng), name="noises", splits={"test": test})


def _noises(count: int, seconds: float, rng: np.random.Generator) -> tuple[list[np.ndarray], int, np.ndarray]:
    labels = rng.permutation(np.arange(count) % len(EVENTS))
    waves = []
    for label in labels:
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < seconds * RATE:
            pitch, tempo = np.exp(rng.uniform(np.log(250), np.log(1800))), rng.uniform(3, 9)
            parts.append(event(EVENTS[label], pitch, tempo, rng.uniform(0.35, 0.65), rng))
        wave = np.concatenate(parts)[: int(seconds * RATE)]
        waves.append(with_noise(wave, rng.uniform(0, 15), rng))
    return waves, RATE, np.array(EVENTS)[labels]


def voices(
    count: int = 120,
    *,
    utterances: int = 4,
    held_out: int = 24,
    held_out_utterances: int = 5,
    phones: int = 16,
    seed: int = 0,
) -> Sounds:
    """Speakers of known voices saying different things, each time through another channel and under noise.

    The speakers of the test set are others; labels are the speakers.

    Args:
        count: number of speakers for training, at least 2.
        utterances: number of utterances of each.
        held_out: number of speakers for test.
        held_out_utterances: number of utterances of each of them.
        phones: vowels and hisses of an utterance, about an eighth of a second each.
        seed: equal arguments give equal sounds.
    """
    _at_least("voices", count, 2)
    rng = np.random.default_rng(seed)
    test = Sounds(*_voices(held_out, held_out_utterances, phones, rng, first=count), name="voices test")
    return Sounds(*_voices(count, utterances, phones, rng), name="voices", splits={"test": test})


def _voices(
    count: int, each: int, phones: int, rng: np.random.Generator, first: int = 0
) -> tuple[list[np.ndarray], int, np.ndarray]:
    waves = []
    for _ in range(count):
        who = speaker(rng)
        for _ in range(each):
            said = "".join(rng.choice([*"aeiousfh"], phones, p=[*[0.15] * 5, *[0.25 / 3] * 3]))
            waves.append(with_noise(in_a_room(utter(who, said, rng), rng), rng.uniform(10, 30), rng))
    return waves, RATE, first + np.repeat(np.arange(count), each)


def words(count: int = 30, *, held_out: int = 10, seed: int = 0) -> Sounds:
    """Ten words of known sounds, each said by every speaker; labels are the words.

    The speakers of the test set are others. ``factors["speaker"]`` says who speaks.

    Args:
        count: number of speakers for training, at least 1.
        held_out: number of speakers for test.
        seed: equal arguments give equal sounds.
    """
    _at_least("words", count, 1)
    rng = np.random.default_rng(seed)
    test = _words(held_out, rng, "words test")
    return _words(count, rng, "words", test)


def _words(count: int, rng: np.random.Generator, name: str, test: Sounds | None = None) -> Sounds:
    waves = []
    for _ in range(count):
        who = speaker(rng)
        for word in WORDS:
            waves.append(with_noise(utter(who, word, rng, tempo=rng.uniform(0.8, 1.25)), rng.uniform(10, 30), rng))
    labels, who_speaks = np.tile(np.array(WORDS), count), np.repeat(np.arange(count), len(WORDS))
    splits = {} if test is None else {"test": test}
    return Sounds(waves, RATE, labels, name=name, factors={"speaker": who_speaks}, splits=splits)


def events(count: int = 480, *, held_out: int = 144, seed: int = 0) -> CaptionedSounds:
    """Events of eight kinds, three pitches and two tempi, each with five captions that say all three.

    Args:
        count: number of sounds for training, at least 8.
        held_out: number of sounds for test.
        seed: equal arguments give equal sounds.
    """
    _at_least("events", count, 8)
    rng = np.random.default_rng(seed)
    test = _events(held_out, rng, "events test")
    return _events(count, rng, "events", test)


def _events(count: int, rng: np.random.Generator, name: str, test: CaptionedSounds | None = None) -> CaptionedSounds:
    every = [(kind, pitch, tempo) for kind in EVENTS for pitch in PITCHES for tempo in TEMPI]
    order = rng.permutation(np.arange(count) % len(every))
    waves, captions, labels = [], [], []
    for number in order:
        kind, pitch, tempo = every[number]
        at, often = PITCHES[pitch] * rng.uniform(0.85, 1.15), TEMPI[tempo] * rng.uniform(0.8, 1.2)
        wave = event(kind, at, often, rng.uniform(0.8, 1.2), rng)
        waves.append(with_noise(in_a_room(wave, rng), rng.uniform(5, 20), rng))
        captions.append([template.format(event=kind, pitch=pitch, tempo=tempo) for template in TEMPLATES])
        labels.append(kind)
    sounds = Sounds(waves, RATE, np.array(labels), name=name)
    return CaptionedSounds(sounds, captions, splits={} if test is None else {"test": test})


def compositions(count: int = 480, *, held_out: int = 96, seed: int = 0) -> CaptionedSounds:
    """Single events, and two that follow each other or sound at once, with captions and sentences that are wrong.

    A third of the sounds are single. Of the 28 pairs of kinds every fourth is met in the test set alone, where each
    pair of rows (``pairs``) holds the same two events in either order. The split ``single`` holds single events.

    Args:
        count: number of sounds for training, at least 8.
        held_out: number of pairs of rows for test, and of single events.
        seed: equal arguments give equal sounds.
    """
    _at_least("compositions", count, 8)
    rng = np.random.default_rng(seed)
    known = [pair for number, pair in enumerate(combinations(EVENTS, 2)) if number % 4]
    unseen = [pair for number, pair in enumerate(combinations(EVENTS, 2)) if not number % 4]
    rows = [("", kind, "") for kind in rng.permutation(np.resize(EVENTS, count // 3)).tolist()]
    while len(rows) < count:
        a, b = rng.permutation(known[rng.integers(len(known))]).tolist()
        rows.append((("+", "*")[rng.integers(2)], a, b))
    test = [("+", *order) for n in range(held_out) for order in (unseen[n % 7], unseen[n % 7][::-1])]
    pairs = np.arange(2 * held_out).reshape(-1, 2)
    splits = {
        "test": _compositions(test, rng, "compositions test", pairs=pairs),
        "single": _compositions([("", kind, "") for kind in np.resize(EVENTS, held_out).tolist()], rng, "single"),
    }
    return _compositions(rows, rng, "compositions", splits=splits)


def _compositions(
    rows: list[tuple[str, str, str]], rng: np.random.Generator, name: str, **options: Any
) -> CaptionedSounds:
    waves, captions, negatives = [], [], []
    for operator, a, b in rows:
        first = _any_event(a, 0.7 if operator == "+" else 1.4, rng)
        if operator == "+":
            first = np.concatenate([first, _any_event(b, 0.7, rng)])
        elif operator == "*":
            first = first + _any_event(b, 1.4, rng)
        waves.append(with_noise(in_a_room(first, rng), rng.uniform(10, 25), rng))
        words = {"+": f"a {a} followed by a {b}", "*": f"a {a} and a {b} at once", "": f"a {a}"}
        reverse = {"+": f"a {b} followed by a {a}", "*": f"a {b} and a {a} at once"}
        captions.append([words[operator], *([reverse["*"]] if operator == "*" else [])])
        wrong = {"": [], "+": [reverse["+"], words["*"], reverse["*"]], "*": [words["+"], reverse["+"]]}
        negatives.append(wrong[operator])
    return CaptionedSounds(Sounds(waves, RATE, name=name), captions, negatives=negatives, **options)


def _any_event(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """An event of a kind, of any pitch and tempo."""
    return event(kind, np.exp(rng.uniform(np.log(250), np.log(1600))), rng.uniform(3, 7), seconds, rng)


def _at_least(name: str, count: int, least: int) -> None:
    if count < least:
        raise ValueError(f"{name} needs a count of at least {least}, got {count}")
