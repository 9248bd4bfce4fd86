"""Folders that a program makes once and keeps in the user's cache, such as small models that take seconds to teach."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path


def keep(place: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder beside ``place`` and give it that name: readers see a whole folder or none.

    Where the disk is full or read-only, or another process was first, nothing happens.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
        try:
            write(temporary)
            temporary.rename(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError:
        return


def source_digest(sources: Iterable[Path], *versions: str) -> str:
    """Sixteen characters that change with the content of source files and with versions of packages."""
    return _digest_of(tuple(sources), versions)


@lru_cache
def _digest_of(sources: tuple[Path, ...], versions: tuple[str, ...]) -> str:
    digest = hashlib.sha256("".join(versions).encode())
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
