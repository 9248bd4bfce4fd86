"""Where shards are: a file, a folder, a pattern of names."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from nearfar.sources.skipped import plain

__all__ = ["ARCHIVES", "LocalShard", "Shard", "expanded", "shards_below"]

ARCHIVES = (".tar", ".zip")
"""Suffixes of files that are read as shards."""

BESIDE = ".index"
"""What is added to a shard's name for the index that lies beside it."""

ENDS = 1 << 16
MOST_NAMES = 1_000_000


class Shard(Protocol):
    """A file that holds many examples, wherever it is.

    Attributes:
        name: what people call it, below the collection's folder.
    """

    name: str

    def open(self) -> IO[bytes]:
        """The file, open for reading on this machine; one that is elsewhere is fetched first.

        Raises:
            OSError: it cannot be had.
        """

    def identity(self) -> str:
        """What tells it from other files and from itself when it has changed, without reading it."""

    def index_beside(self) -> Path | None:
        """The index that lies beside it, if there is one."""

    def ends(self) -> str:
        """Its size and a digest of its two ends."""


class LocalShard:
    """A shard in a file of this machine."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.name = plain(os.path.relpath(path, root)) if path != root else path.name

    def open(self) -> IO[bytes]:
        return open(self.path, "rb", buffering=0)

    def identity(self) -> str:
        found = os.stat(self.path)
        return f"{os.path.realpath(self.path)}\0{found.st_size}\0{found.st_mtime_ns}"

    def index_beside(self) -> Path | None:
        beside = self.path.with_name(self.path.name + BESIDE)
        return beside if beside.is_file() else None

    def ends(self) -> str:
        size = os.stat(self.path).st_size
        with open(self.path, "rb", buffering=0) as file:
            first = file.read(ENDS)
            file.seek(max(size - ENDS, 0))
            return sign_of(size, first, file.read(ENDS))


def sign_of(size: int, first: bytes, last: bytes) -> str:
    """A file of ``size`` bytes by what it begins and ends with."""
    return f"{size} {hashlib.blake2b(first + last, digest_size=8).hexdigest()}"


def shards_below(folder: Path, suffixes: Sequence[str] = ARCHIVES) -> list[Path]:
    """The shards in a folder, or else those in the folders in it; hidden ones are none."""
    for pattern in ("*", "*/*"):
        found = [p for p in folder.glob(pattern) if p.suffix.lower() in suffixes and not p.name.startswith(".")]
        found = [p for p in found if p.is_file()]
        if found:
            return sorted(found)
    return []


def expanded(text: str) -> list[str]:
    """Names from one with ranges and choices in braces: ``{00000..00099}``, ``{train,extra}``.

    Raises:
        ValueError: a range that runs backwards, or more than a million names.
    """
    parts: list[list[str]] = []
    for part in re.split(r"(\{[^{}]*\})", text):
        numbers = re.fullmatch(r"\{(\d+)\.\.(\d+)\}", part)
        if numbers:
            first, last = numbers.groups()
            if int(last) < int(first):
                raise ValueError(f"{part} in {text} runs backwards")
            if int(last) - int(first) >= MOST_NAMES:
                raise ValueError(f"{part} in {text} names more than {MOST_NAMES:,} files")
            width = len(first) if first.startswith("0") or len(first) == len(last) else 0
            parts.append([f"{number:0{width}}" for number in range(int(first), int(last) + 1)])
        elif part.startswith("{") and part.endswith("}") and "," in part:
            parts.append(part[1:-1].split(","))
        else:
            parts.append([part])
    count = 1
    for each in parts:
        count *= len(each)
    if count > MOST_NAMES:
        raise ValueError(f"{text} names more than {MOST_NAMES:,} files")
    return ["".join(each) for each in itertools.product(*parts)]
