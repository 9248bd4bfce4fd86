"""Sounds with captions, and with sentences that are wrong about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nearfar.audio.data.sounds import SoundBatch, SoundFiles, Sounds
from nearfar.sources.data import Data
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.order import apart
from nearfar.sources.tables import why_no_text

__all__ = ["CaptionedBatch", "CaptionedSounds"]


class CaptionedBatch(NamedTuple):
    """A batch of sounds with captions.

    Attributes:
        sounds: the N sounds.
        captions: of each the sentences that describe it, at least one.
        negatives: of each sentences of the same words that are wrong about it, in another order or bound otherwise;
            perhaps none.
    """

    sounds: SoundBatch
    captions: list[list[str]]
    negatives: list[list[str]]


class CaptionedSounds(Data):
    """Sounds, each with one caption or several.

    Args:
        sounds: the sounds, in memory or in files.
        captions: of each sound the sentences that describe it.
        negatives: of each sound sentences that are wrong about it; none when not given.
        splits: held-out sets by name.
        pairs: (n, 2) rows of sounds that hold the same things arranged differently, each with its first caption, by
            which composition is tested.
        name: what to call the collection.

    Raises:
        ValueError: captions or negatives that are not one list for each sound, or hold no text.
    """

    gives = CaptionedBatch

    def __init__(
        self,
        sounds: Sounds | SoundFiles,
        captions: Sequence[Sequence[str]],
        *,
        negatives: Sequence[Sequence[str]] | None = None,
        splits: Mapping[str, Data] | None = None,
        pairs: np.ndarray | None = None,
        name: str = "",
    ) -> None:
        self.sounds = sounds
        self.name = name or sounds.name
        self.labels = sounds.labels
        self.captions = [[*each] for each in captions]
        self.negatives = [[*each] for each in negatives] if negatives is not None else [[] for _ in self.captions]
        for what, lists in (("captions", self.captions), ("negatives", self.negatives)):
            if len(lists) != len(sounds):
                raise ValueError(f"{self.name} has {what} of {len(lists)} sounds, and holds {len(sounds)}")
            for row, sentences in enumerate(lists):
                if reason := next(filter(None, map(why_no_text, sentences)), ""):
                    raise ValueError(f"{what} of sound {row} of {self.name}: {reason}")
        if not all(self.captions):
            row = next(row for row, each in enumerate(self.captions) if not each)
            raise ValueError(f"sound {row} of {self.name} has no caption")
        self.pairs = pairs
        self.skipped = sounds.skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.sounds)

    @property
    def ids(self) -> np.ndarray:
        return self.sounds.ids

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.sounds.facts

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {**self.sounds.contents(), "captions": digest_of(self.captions, self.negatives)}

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return self.sounds.readable(rows)

    def batch(self, indices: np.ndarray) -> CaptionedBatch:
        return self._with_captions(self.sounds.batch(indices))

    def training_batch(self, indices: np.ndarray) -> CaptionedBatch:
        return self._with_captions(self.sounds.training_batch(indices))

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every section of a sound once; those of equal first captions are kept apart, see
        :func:`nearfar.sources.order.apart`."""
        return apart([self.captions[row][0] for row in self._rows()], rng)

    @property
    def epoch_size(self) -> int:
        """Of sections."""
        return len(self._rows())

    def _rows(self) -> list[int]:
        """Of every example of training the sound that it is of."""
        sections = getattr(self.sounds, "sections", None)
        return [*range(len(self))] if sections is None else [row for row, _ in sections]

    def _with_captions(self, sounds: SoundBatch) -> CaptionedBatch:
        rows = sounds.rows.tolist()
        return CaptionedBatch(sounds, [self.captions[row] for row in rows], [self.negatives[row] for row in rows])
