"""Files from elsewhere, kept on this machine up to a number of bytes; the longest unused ones make room.

Several processes share the folder: each file is fetched by one of them while the others wait, appears whole or not at
all, and one that is open stays readable after it has made room.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from nearfar.common.files import cache_folder

__all__ = ["FileCache", "file_cache"]

LIMIT = 50_000_000_000
"""Bytes that are kept when ``NEARFAR_CACHE_LIMIT`` says nothing."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class FileCache:
    """Files by what tells them apart.

    Args:
        folder: for the files; made when the first is kept.
        limit: bytes that all of them may take.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    def opened(self, identity: str, name: str, size: int, fetch: Callable[[Path], None]) -> IO[bytes]:
        """A file, open for reading; fetched first where it is not kept.

        Args:
            identity: what tells it from other files and from its earlier content.
            name: of the file, whose suffix is kept.
            size: its bytes, as far as is known.
            fetch: writes it to a path.

        Raises:
            OSError: it is larger than everything that may be kept, or cannot be fetched or kept.
        """
        if size > self.limit:
            raise OSError(
                f"{name} has {size / 1e9:,.2f} GB, more than the {self.limit / 1e9:,.2f} GB that are kept of files "
                "from elsewhere; raise NEARFAR_CACHE_LIMIT (such as 200G)"
            )
        digest = hashlib.blake2b(identity.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        path = self.folder / f"{digest}{''.join(Path(name).suffixes[-1:])}"
        with suppress(FileNotFoundError):
            return _used(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone(f"{digest}.lock"):
            with suppress(FileNotFoundError):  # another process has fetched it meanwhile
                return _used(path)
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{digest}.", suffix=".part")
            os.close(handle)
            try:
                fetch(Path(temporary))
                found = os.stat(temporary).st_size
                if size and found != size:
                    raise OSError(f"{name} came with {found:,} bytes of {size:,}")
                os.replace(temporary, path)
            finally:
                Path(temporary).unlink(missing_ok=True)
            file = _used(path)
        self._make_room(path)
        return file

    def _make_room(self, kept: Path) -> None:
        """Remove what was not used for longest until the rest fits; never ``kept``, which may have made room itself for
        what another process fetched meanwhile."""
        with self._alone("room.lock"):
            names = (p for p in self.folder.iterdir() if p.name[0] != "." and p.suffix != ".lock" and p.is_file())
            files = [(path.stat(), path) for path in names]
            taken = sum(told.st_size for told, _ in files)
            for told, path in sorted(files, key=lambda each: each[0].st_mtime_ns):
                if taken <= self.limit:
                    return
                if path == kept:
                    continue
                path.unlink(missing_ok=True)
                (self.folder / f"{path.stem}.lock").unlink(missing_ok=True)
                taken -= told.st_size

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with open(self.folder / name, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # closing unlocks
            yield


def file_cache() -> FileCache:
    """The cache in ``files`` of :func:`nearfar.common.files.cache_folder`, of ``NEARFAR_CACHE_LIMIT`` bytes (``50G``).

    Raises:
        OSError: there is no cache folder, or the limit is no number of bytes.
    """
    folder = cache_folder()
    if folder is None:
        raise OSError("files from elsewhere need a cache, and NEARFAR_CACHE is empty; set it to a folder")
    text = os.environ.get("NEARFAR_CACHE_LIMIT", str(LIMIT))
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise OSError(f"NEARFAR_CACHE_LIMIT is {text!r}; expected a number of bytes, such as 200G")
    return FileCache(folder / "files", int(float(found[1]) * UNITS[found[2].upper()]))


def _used(path: Path) -> IO[bytes]:
    """Open a kept file, and remember that it was used now."""
    file = open(path, "rb", buffering=0)  # noqa: SIM115
    with suppress(OSError):
        os.utime(path)
    return file
