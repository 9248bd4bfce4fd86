"""Some members of many shards, read by number."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from nearfar.sources.shards.index import Index, contents_of
from nearfar.sources.shards.places import LocalShard, Shard
from nearfar.sources.skipped import plain

__all__ = ["Members", "Part", "part_of"]

OPEN = 64
"""Shards that a process holds open at a time."""

OPEN_OF_CACHE = 4
"""The same of shards from elsewhere: one that is open takes disk even where the cache has let it go."""


class Part(NamedTuple):
    """Some members of one shard as arrays; their names one after another, each of its length."""

    names: bytes
    lengths: np.ndarray
    offsets: np.ndarray
    packed: np.ndarray
    sizes: np.ndarray
    methods: np.ndarray


def part_of(index: Index, rows: Sequence[int]) -> Part:
    """The members of an index at ``rows``."""
    names = [index.names[row].encode() for row in rows]
    columns = (index.offsets, index.packed, index.sizes)
    offsets, packed, sizes = (np.array([column[row] for row in rows], np.int64) for column in columns)
    methods = np.array([index.methods[row] for row in rows], np.int8)
    return Part(b"".join(names), np.array([len(name) for name in names], np.int64), offsets, packed, sizes, methods)


class Members:
    """Chosen members of shards, in a fixed order, any of which is read by its number.

    Args:
        shards: where they lie.
        parts: those of each shard.
    """

    def __init__(self, shards: Sequence[Shard], parts: Sequence[Part]) -> None:
        self.shards = [*shards]
        self.most_open = OPEN if all(isinstance(shard, LocalShard) for shard in shards) else OPEN_OF_CACHE
        self.shard = np.repeat(np.arange(len(shards), dtype=np.int32), [len(part.offsets) for part in parts])
        self.offsets, self.packed, self.sizes, self.methods = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("offsets", "packed", "sizes", "methods")
        )
        # One text and where each name ends in it: a hundred million names are then no hundred million objects.
        self._names = b"".join(part.names for part in parts)
        self._ends = np.cumsum(np.concatenate([part.lengths for part in parts]), dtype=np.int64)
        self._begin()

    def __len__(self) -> int:
        return len(self.shard)

    def name(self, row: int) -> str:
        """A member's path inside of its shard."""
        start = int(self._ends[row - 1]) if row else 0
        return self._names[start : int(self._ends[row])].decode()

    def place(self, row: int) -> str:
        """The shard's name and the member's."""
        return f"{self.shards[self.shard[row]].name}/{plain(self.name(row))}"

    def read(self, row: int) -> bytes:
        """A member's content.

        Raises:
            ValueError: it is damaged, or the shard has changed. OSError: the shard cannot be had.
        """
        number = int(self.shard[row])
        file = self._opened(number)
        where = (int(values[row]) for values in (self.offsets, self.packed, self.sizes, self.methods))
        return contents_of(file.fileno(), *where)

    def _opened(self, number: int) -> IO[bytes]:
        with self._lock:
            if number in self._files:
                self._files.move_to_end(number)
                return self._files[number]
        file = self.shards[number].open()
        with self._lock:
            # Whoever reads from one that is put out still holds it; the last to let go closes it.
            self._files[number] = file
            while len(self._files) > self.most_open:
                self._files.popitem(last=False)
        return file

    def _begin(self) -> None:
        self._files: OrderedDict[int, IO[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_files", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()
