"""Sounds inside of tar and zip archives, read in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.audio.data.sounds import SoundFiles
from nearfar.sources.shards.finding import shard_contents, shards_by_part
from nearfar.sources.shards.index import index_of
from nearfar.sources.shards.members import Members, part_of
from nearfar.sources.shards.places import Shard
from nearfar.sources.shards.samples import by_key, label_in
from nearfar.sources.skipped import BadDataError, plain
from nearfar.sources.sound import SUFFIXES, SoundError, Stretch, header, read_stretch
from nearfar.sources.tables import labels_of

__all__ = ["SoundShards", "sounds_in_parts"]


class SoundShards(SoundFiles):
    """Sounds inside of archives, decoded when they are needed and never unpacked to files.

    Members that differ only in what follows the first dot of their names are one example, as webdataset has it:
    ``000.flac``, ``000.cls``, ``000.json``. Labels are what ``.json`` says under ``label``, ``class``, ``category`` or
    ``target``, or what ``.cls`` holds; where no example has one, the folders inside of the archives, if there are two
    or more. Everything else is as of :class:`nearfar.audio.data.sounds.SoundFiles`.

    Args:
        shards: where they lie.
        options: the other arguments of :class:`SoundFiles`.

    Raises:
        ValueError: no archive, or no readable sound in them. OSError: a shard cannot be had.
        BadDataError: as for :class:`SoundFiles`.
    """

    def __init__(self, shards: Sequence[Shard], **options: Any) -> None:
        parts, labels, folders, bad = [], [], [], []
        for shard in shards:
            index = index_of(shard)
            rows = []
            for key, members in by_key(index).items():
                sound = next(
                    (row for ending, row in members.items() if f".{ending.rpartition('.')[2]}" in SUFFIXES), None
                )
                if sound is not None:
                    rows.append(sound)
                    labels.append(label_in(index, members))
                    folders.append(plain(key.rpartition("/")[0]) or ".")
            parts.append(part_of(index, rows))
            bad += [(f"{shard.name}/{plain(place)}", reason) for place, reason in index.bad]
        self.members = Members(shards, parts)
        found: Any = None
        if any(label is not None for label in labels):
            found = labels_of(["" if label is None else label for label in labels])
        elif len(set(folders)) > 1:
            found = np.array(folders)
        count = len(self.members)
        names = [self.members.place(row) for row in range(count)]
        super().__init__([str(row) for row in range(count)], names=names, labels=found, bad=bad, **options)

    def contents(self) -> Mapping[str, str]:
        return shard_contents(self.members.shards)

    def _head(self, file: str) -> Stretch:
        return header(self._content(file))._replace(path=file, content=None)

    def _decoded(self, stretch: Stretch) -> np.ndarray:
        return read_stretch(stretch._replace(content=self._content(stretch.path)), self.rate)

    def _content(self, number: str) -> bytes:
        try:
            return self.members.read(int(number))
        except ValueError as error:
            raise SoundError(str(error)) from error
        except OSError as error:
            raise BadDataError(f"{self.members.place(int(number))} cannot be read: {error}") from error


def sounds_in_parts(shards: Sequence[Shard], name: str, **options: Any) -> SoundShards:
    """Shards as a collection, those named ``test`` and so on held out; see :mod:`nearfar.sources.splits`."""
    parts = shards_by_part(shards, name)
    held = {
        part: SoundShards(of, name=f"{name} {part}", folder=part, **options)
        for part, of in parts.items()
        if part != "train"
    }
    return SoundShards(parts["train"], name=name, folder="train" if held else "", splits=held, **options)
