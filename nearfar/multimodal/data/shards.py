"""Captioned pictures inside of tar and zip archives, as img2dataset writes them, read in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nearfar.common.memory import check_room
from nearfar.multimodal.data.pairs import CaptionedImages, one_of_each
from nearfar.multimodal.method import PairBatch
from nearfar.sources.shards.index import Index
from nearfar.sources.shards.samples import described
from nearfar.sources.tables import why_no_text
from nearfar.training import Data
from nearfar.vision.data.shards import Also, ShardedPictures

__all__ = ["CaptionedShards", "captions_by"]

MEMBERS = ("txt", "caption")
KEYS = ("caption", "captions", "text", "sentence", "sentences")


class CaptionedShards(CaptionedImages):
    """Pictures in shards, each with one caption or more; a pair for each caption.

    Pictures are read as :class:`nearfar.vision.data.ShardedPictures` reads them, when they are needed; captions are
    held in memory. The caption of ``000.jpg`` is ``000.txt`` or ``000.caption``, a caption in each line, or what
    ``000.json`` says under ``caption``, ``captions``, ``text`` or ``sentence``: a text or a list of them.

    Args:
        pictures: made with :func:`captions_by` as its ``also``.
        splits: held-out sets by name.

    Raises:
        ValueError: no picture has a caption. BadDataError: more of them have none than may be.
    """

    def __init__(self, pictures: ShardedPictures, splits: Mapping[str, Data] | None = None) -> None:
        self.pictures, self.name, self.skipped = pictures, pictures.name, pictures.skipped
        captions: list[str] = []
        counts, bad = [], []
        for row, found in enumerate(pictures.kept):
            fine = [text.strip() for text in found if not why_no_text(text)]
            if not fine:
                why = why_no_text(found[0]) if found else "it has no caption: no .txt, and no caption in a .json"
                bad.append((pictures.place(row), why))
            captions += fine
            counts.append(len(fine))
        if not captions:
            raise ValueError(f"{self.name} holds no picture with a caption; {': '.join(bad[0])}")
        if bad:
            self.skipped.set_aside(bad, self.name)
        pictures.kept = []  # held once
        self.captions = captions
        self.picture = np.repeat(np.arange(len(counts)), counts)
        self.first = np.cumsum(counts) - counts
        number = np.cumsum(np.array(counts) > 0) - 1  # pictures without a caption have no number
        self.shows = number[self.picture] if max(counts) > 1 else None
        self.labels = None if pictures.labels is None else pictures.labels[self.picture]
        self.classes, self.gallery, self.places, self.sources = {}, False, None, None
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def images(self) -> np.ndarray:  # type: ignore[override]
        """(N, size, size, 3), every one decoded."""
        side = self.pictures.size
        check_room(3 * len(self) * side**2, f"{self.name}, with {len(self):,} pictures at {side} x {side} pixels,")
        return self.pictures.batch(self.picture).images.permute(0, 2, 3, 1).numpy()

    def order(self, rng: np.random.Generator) -> np.ndarray:
        if not self.pictures.mix:
            return super().order(rng)
        pairs = np.full(len(self.pictures), -1)
        chosen = np.arange(len(self)) if self.shows is None else one_of_each(self.shows, rng)
        pairs[self.picture[chosen]] = chosen
        rows = pairs[self.pictures.order(rng)]
        return rows[rows >= 0]

    def batch(self, indices: np.ndarray) -> PairBatch:  # type: ignore[override]
        wanted = self.picture[indices]
        found = self.pictures.batch(wanted)
        shown = found.rows.numpy()
        # Where another picture stands in for one that turned out to be damaged, so does its caption.
        rows = np.where(shown == wanted, indices, np.minimum(self.first[shown], len(self) - 1))
        return PairBatch(found.images, [self.captions[row] for row in rows], torch.as_tensor(rows))

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return self.pictures.readable(self.picture[rows])

    @property
    def ids(self) -> np.ndarray:
        places = [self.pictures.place(int(row)) for row in self.picture]
        if self.shows is None:
            return np.array(places)
        return np.array([f"{place}#{row - self.first[self.picture[row]]}" for row, place in enumerate(places)])

    def contents(self) -> Mapping[str, str]:
        return self.pictures.contents()


def captions_by(column: str | None) -> Also:
    """What finds the captions of an example: in the member or under the key ``column``, or in the usual ones."""

    def find(index: Index, parts: Mapping[str, int]) -> list[Any]:
        for ending in MEMBERS if column is None else (column.lower().lstrip("."),):
            text = index.texts.get(parts.get(ending, -1))
            if text is not None:
                return [line for line in text.split("\n") if line.strip()] or [text]
        told = described(index, parts)
        for key in KEYS if column is None else (column,):
            value = told.get(key)
            if value:
                return _texts(value)
        return []

    return find


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
