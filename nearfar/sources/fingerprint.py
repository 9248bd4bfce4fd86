"""What a collection holds, in so few words that a run can keep them: whether it is still what it was.

Files are told by their names below the collection's folder, their sizes and what is in them: all of a file of up to
:data:`WHOLE` bytes, the beginning and end of a larger one, never its date. Of more than :data:`MOST_READ` files those
beyond it are told by name and size alone. Arrays and texts are told by all they hold. That reads
every file's beginning and end once more than looking at the files' kinds at the start, which is done anyway.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar.common.files import atomic_write
from nearfar.sources.skipped import plain

__all__ = ["changes", "digest_of", "file_contents", "fingerprint", "keep", "kept", "total"]

WHOLE = 16 << 10
"""Bytes up to which all of a file is read; of a larger one so many, half at either end."""

MOST_READ = 20_000
"""Files of a collection that are read, spread evenly among its names."""

SAMPLED = 64
"""Examples that stand for a collection which says nothing of its own."""

HEADER = "what\tsize and digest\n"


def fingerprint(data: Any) -> dict[str, str]:
    """What ``data`` and its held-out sets hold, by part: a file's name, or ``images``, ``labels``, ``sentences``.

    Empty for a source that is asked and holds nothing.
    """
    if not hasattr(data, "contents"):
        return {}
    found = {plain(str(name)): value for name, value in data.contents().items()}
    for split, held in data.splits().items():
        if hasattr(held, "contents"):
            found |= {plain(f"{split}: {name}"): value for name, value in held.contents().items()}
    return found


def total(data: Any) -> str:
    """The whole fingerprint as sixteen characters."""
    return digest_of(sorted(data.contents().items()))


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """In words, what was added, removed and replaced; empty where nothing was."""
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    other = [name for name in before if name in after and before[name] != after[name]]

    def named(names: list[str], what: str) -> str:
        shown = ", ".join(sorted(names)[:3]) + ", ..." * (len(names) > 3)
        return f"{len(names):,} {what} ({shown})"

    parts = []
    if removed:
        parts.append(named(removed, f"of {len(before):,} parts {'is' if len(removed) == 1 else 'are'} gone"))
    if added:
        parts.append(named(added, f"{'was' if len(added) == 1 else 'were'} added"))
    if other:
        parts.append(named(other, f"{'holds' if len(other) == 1 else 'hold'} something else"))
    return "; ".join(parts)


def keep(path: Path, found: Mapping[str, str]) -> None:
    """Write a fingerprint as a table of two columns."""
    with atomic_write(path, "w") as file:
        file.write(HEADER)
        file.writelines(f"{name}\t{value}\n" for name, value in found.items())


def kept(path: Path) -> dict[str, str] | None:
    """What :func:`keep` wrote, ``None`` where there is no such file."""
    if not path.is_file():
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        next(file, None)
        return dict(line.rstrip("\n").split("\t", 1) for line in file if "\t" in line)  # type: ignore[misc]


def file_contents(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Size and digest of files below ``root``, by name."""
    names = [*names]
    every = max(-(-len(names) // MOST_READ), 1)
    read = set(sorted(names)[::every])

    def look(name: str) -> tuple[str, str]:
        path = os.path.join(root, name)
        try:
            size = os.stat(path).st_size
            return name, f"{size} {_file_digest(path, size)}" if name in read else str(size)
        except OSError as error:
            return name, f"unreadable: {error.strerror}"

    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        return dict(pool.map(look, names, chunksize=512))


def _file_digest(path: str, size: int) -> str:
    found = hashlib.blake2b(digest_size=8)
    with open(path, "rb", buffering=0) as file:
        if size <= WHOLE:
            found.update(file.read(WHOLE))
        else:
            found.update(file.read(WHOLE // 2))
            file.seek(-(WHOLE // 2), os.SEEK_END)
            found.update(file.read(WHOLE // 2))
    return found.hexdigest()


def digest_of(*values: Any) -> str:
    """Sixteen characters that tell arrays, tensors, texts and plain values, however nested, from others."""
    found = hashlib.blake2b(digest_size=8)
    for value in values:
        _add(found, value)
    return found.hexdigest()


def _add(found: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSUMm":
        found.update(f"{value.dtype.str}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).data if value.dtype.kind not in "UMm" else value.tobytes())
    elif isinstance(value, str):
        found.update(b"s%d:" % len(value))
        found.update(value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        found.update(b"b%d:" % len(value) + value)
    elif isinstance(value, Mapping):
        _add(found, [*value.items()])
    elif isinstance(value, list | tuple | np.ndarray):
        found.update(b"l%d:" % len(value))
        for each in value:
            _add(found, each)
    elif value is None or isinstance(value, bool | int | float | np.generic):
        found.update(repr(value).encode())
    elif hasattr(value, "to_dict"):  # graphs of PyTorch Geometric
        _add(found, value.to_dict())
    else:
        found.update(type(value).__qualname__.encode())
