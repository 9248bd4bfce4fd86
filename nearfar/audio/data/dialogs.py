"""Spoken dialogs with a machine: turns in their order, what is known of their words, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfar.audio.data.sounds import SoundBatch, SoundFiles, Sounds
from nearfar.audio.data.synthesis import RATE, speaker, utter, with_noise
from nearfar.evaluation import edit_distance
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.tables import Table
from nearfar.training import Data

__all__ = ["DialogBatch", "SpokenDialogs", "Turn", "likeness", "made", "read", "reformulated"]


class Turn(NamedTuple):
    """What a user said once.

    Attributes:
        text: its words; empty where nobody wrote them down.
        nbest: what a recogniser took it for, the best first; of turns that failed.
        correction: the words that the user said again afterwards; empty where nothing was corrected.
    """

    text: str = ""
    nbest: tuple[str, ...] = ()
    correction: str = ""


class DialogBatch(NamedTuple):
    """The turns of N dialogs, dialog after dialog: their sounds, how many each dialog has, and the turns."""

    sounds: SoundBatch
    counts: list[int]
    turns: list[Turn]


class SpokenDialogs(Data):
    """Dialogs of spoken turns.

    Args:
        sounds: the turns, dialog after dialog.
        dialogs: the turns of each dialog, in the order of the sounds.
        name: what to call the set.
        splits: held-out sets by name.

    Raises:
        ValueError: not one sound for each turn, or a dialog without a turn.
    """

    gives = DialogBatch

    def __init__(
        self,
        sounds: Sounds | SoundFiles,
        dialogs: Sequence[Sequence[Turn]],
        *,
        name: str = "dialogs",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        if sum(map(len, dialogs)) != len(sounds) or not all(dialogs):
            raise ValueError(
                f"{name} has {len(sounds)} sounds for {sum(map(len, dialogs))} turns; every turn has one, and every "
                "dialog a turn"
            )
        self.sounds, self.dialogs, self.name = sounds, [[*turns] for turns in dialogs], name
        self.skipped = getattr(sounds, "skipped", None)
        ends = np.cumsum([len(turns) for turns in self.dialogs])
        self._rows = [np.arange(end - len(turns), end) for end, turns in zip(ends, self.dialogs, strict=True)]
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.dialogs)

    def batch(self, indices: np.ndarray) -> DialogBatch:
        sounds = self.sounds.batch(np.concatenate([self._rows[i] for i in indices]))
        turns = [turn for i in indices for turn in self.dialogs[i]]
        return DialogBatch(sounds, [len(self.dialogs[i]) for i in indices], turns)

    @property
    def facts(self) -> Mapping[str, Any]:
        """``rate``, and ``letters``: every character of the words."""
        texts = (text for turns in self.dialogs for turn in turns for text in (turn.text, turn.correction, *turn.nbest))
        return {**self.sounds.facts, "letters": "".join(sorted(set("".join(texts)) | {" "}))}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {**self.sounds.contents(), "turns": digest_of([[[*turn] for turn in turns] for turns in self.dialogs])}


def likeness(first: str, second: str) -> float:
    """How alike two texts are, in [0, 1]: 1 minus the words edited, divided by those of the longer."""
    a, b = first.split(), second.split()
    return 1 - edit_distance(a, b) / max(len(a), len(b), 1)


def reformulated(texts: Sequence[str], *, gap: int = 2, least: float = 0.6) -> dict[int, int]:
    """Which turns of a user say again what one of the turns before said, where nothing marks them.

    Args:
        texts: what was said, turn after turn.
        gap: how far back is looked, at least 1.
        least: smallest :func:`likeness`, in [0, 1].

    Returns:
        The nearest later turn of each that is said again.
    """
    found: dict[int, int] = {}
    for later, text in enumerate(texts):
        for turn in range(max(later - gap, 0), later):
            if text and texts[turn] and likeness(text, texts[turn]) >= least:
                found.setdefault(turn, later)
    return found


def read(table: Table, root: Path, name: str, options: Mapping[str, Any]) -> SpokenDialogs:
    """Dialogs as OD3 has them, one a line, in ``turns``: objects with ``is_agent``, ``text`` and ``audio``, which has
    for each voice an object with ``path`` and perhaps ``normalized_ground_truth`` and ``nbest``.

    The first voice of a turn is heard, agents are passed over. A turn that says the one before it again
    (``turn_is_repeat_rephrase``, or ``is_induced_by_repeat_rephrase`` in ``meta``) is its correction; hypotheses are
    those of the failed turn, since later ones are copies of them. Without any such mark, likeness decides
    (:func:`reformulated`).
    """
    files: list[Path] = []
    dialogs: list[list[Turn]] = []
    bad = [*table.bad]
    for place, turns in zip(table.places, table.columns["turns"], strict=True):
        try:
            heard = [turn for turn in turns if not turn.get("is_agent") and turn.get("audio")]
            voices = [next(iter(turn["audio"].values())) for turn in heard]
            paths = [root / str(voice["path"]) for voice in voices]
            made = _turns(heard, voices)
        except KeyError as error:
            bad.append((place, f"its turns are not as OD3's: one has no {error.args[0]!r}"))
        except (TypeError, AttributeError, StopIteration):
            bad.append((place, "its turns are not as OD3's: a list of objects, with audio where a person speaks"))
            continue
        if paths:
            files += paths
            dialogs.append(made)
    sounds = SoundFiles(files, names=[str(file) for file in files], root=root, name=name, bad=bad, **options)
    # What cannot be read is a turn less.
    kept, start = {*sounds.kept_rows.tolist()}, 0
    left = []
    for turns in dialogs:
        left.append([turn for row, turn in enumerate(turns, start) if row in kept])
        start += len(turns)
    return SpokenDialogs(sounds, [turns for turns in left if turns], name=name)


def _turns(heard: Sequence[Mapping[str, Any]], voices: Sequence[Mapping[str, Any]]) -> list[Turn]:
    texts = [str(v.get("normalized_ground_truth") or t.get("text") or "") for t, v in zip(heard, voices, strict=True)]
    again = [
        bool(turn.get("turn_is_repeat_rephrase") or (turn.get("meta") or {}).get("is_induced_by_repeat_rephrase"))
        for turn in heard
    ]
    said_again = {n - 1: n for n, marked in enumerate(again) if marked and n} if any(again) else reformulated(texts)
    found = []
    for number, (text, voice) in enumerate(zip(texts, voices, strict=True)):
        later = said_again.get(number)
        told = voice.get("nbest") if later is not None else None
        hypotheses = [str(h.get("text", h.get("transcript", "")) if isinstance(h, Mapping) else h) for h in told or ()]
        correction = "" if later is None else texts[later]
        found.append(Turn(text, tuple(h for h in hypotheses if h.strip()), correction))
    return found


TOPICS = (("sau", "hifa", "osi"), ("fue", "ahe", "iso"), ("eha", "ufo", "sise"), ("oha", "fasu", "ehi"))
FAILED, LABELLED, HYPOTHESES = 0.4, 0.25, 4


def made(count: int = 240, *, held_out: int = 60, seed: int = 0) -> SpokenDialogs:
    """Dialogs of three to four turns, each of two words of one topic, by one voice each.

    Some turns are under so much noise that they fail; the same is said again more clearly. Of a failed turn there are
    four hypotheses, one of them right and in no order. A quarter of the dialogs is written down. The dialogs held out
    as ``test`` are of other voices, and all written down.

    Args:
        count: dialogs to learn from, at least 1.
        held_out: dialogs for test.
        seed: equal arguments give equal sounds.
    """
    if count < 1 or held_out < 1:
        raise ValueError(f"dialogs need at least one for training and one for test, got {count} and {held_out}")
    rng = np.random.default_rng([seed, 71])
    test = _made(held_out, rng, 1.0, "dialogs test", {})
    return _made(count, rng, LABELLED, "dialogs", {"test": test})


def _made(count: int, rng: np.random.Generator, share: float, name: str, splits: Mapping[str, Data]) -> SpokenDialogs:
    waves, dialogs = [], []
    for number in range(count):
        who, topic = speaker(rng), TOPICS[int(rng.integers(len(TOPICS)))]
        written = number < max(1, round(share * count))
        turns = []
        for _ in range(int(rng.integers(2, 4))):
            said = " ".join(rng.choice(topic, 2))
            failed = rng.random() < FAILED
            hypotheses = [said, *(_misheard(said, rng) for _ in range(HYPOTHESES - 1))]
            order = rng.permutation(HYPOTHESES)
            nbest = tuple(hypotheses[i] for i in order) if failed else ()
            turns.append(Turn(said if written else "", nbest, said if failed else ""))
            waves.append(_said(who, said, rng, rng.uniform(-3, 3) if failed else rng.uniform(12, 25)))
            if failed:
                turns.append(Turn(said if written else ""))
                waves.append(_said(who, said, rng, rng.uniform(12, 25)))
        dialogs.append(turns)
    return SpokenDialogs(Sounds(waves, RATE, name=name), dialogs, name=name, splits=splits)


def _said(who: Any, text: str, rng: np.random.Generator, decibels: float) -> np.ndarray:
    pause = np.zeros(int(0.06 * RATE))
    parts = [part for word in text.split() for part in (utter(who, word, rng), pause)]
    return with_noise(np.concatenate([pause, *parts]), decibels, rng)


def _misheard(said: str, rng: np.random.Generator) -> str:
    """One or two of the words replaced by any."""
    every = [word for topic in TOPICS for word in topic]
    words = said.split()
    for place in rng.permutation(len(words))[: int(rng.integers(1, 3))]:
        words[place] = str(rng.choice([word for word in every if word != words[place]]))
    return " ".join(words)
