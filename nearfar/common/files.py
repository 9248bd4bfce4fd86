"""Files that are whole or absent, written beside their place, flushed, then renamed into it; and files that grow.

Nothing here writes through a link: a folder that came from elsewhere can hold links that lead anywhere.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room for a file."""


class StorageError(RuntimeError):
    """The disk did not take what a run wanted to keep; the message says what is safe. The exit code is 74."""


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` that takes its place when the block ends without an error.

    A reader, or the next run after a power cut, sees the old content or the new one, never a part.
    """
    path = Path(path)
    with part_of(path) as (handle, temporary):
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    _sync_folder(path.parent)


@contextmanager
def part_of(path: Path) -> Iterator[tuple[int, str]]:
    """The handle and the name of a temporary file beside ``path``, removed in the end if it still has that name.

    Errors of the system name ``path``. Of a process that was killed such a file stays; the next one that writes
    ``path`` removes it, because nobody holds its lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with contextlib.suppress(OSError):  # some network file systems keep no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(handle, 0o666 & ~_umask())
        yield handle, temporary
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = os.fspath(path)
        raise
    finally:
        Path(temporary).unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files for ``path`` whose processes are gone."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink(missing_ok=True)
            finally:
                os.close(handle)


@contextmanager
def appending(path: Path, mode: str = "a+", *, newline: str | None = None) -> Iterator[IO[str]]:
    """Open a text file for adding to its end, made where it is not there.

    A link, a pipe or a device at ``path`` is refused, and a file that has other names too is first replaced by a copy
    of its own, so that nothing but ``path`` changes.

    Raises:
        OSError: ``path`` is no ordinary file, or cannot be written.
    """
    path = Path(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o666)
        if os.fstat(handle).st_nlink > 1:
            os.close(handle)
            with open(path, "rb") as shared, atomic_write(path) as own:
                shutil.copyfileobj(shared, own)
            handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise _no_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _no_file(path)
    with os.fdopen(handle, mode, encoding="utf-8", newline=newline) as file:
        yield file


def _no_file(path: Path) -> OSError:
    return OSError(errno.ELOOP, f"{path} is a link or no ordinary file, and is not written through; remove it")


def read_whole(path: Path, most: int) -> bytes:
    """The content of an ordinary file of at most ``most`` bytes.

    Raises:
        ValueError: a pipe or device, which may never answer, or more than that. OSError: it cannot be read.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is no ordinary file")
    if found.st_size > most:
        raise ValueError(f"{path} has {found.st_size:,} bytes; up to {most:,} are read")
    with open(path, "rb") as file:
        return file.read(found.st_size + 1)  # as much memory is taken as is asked for, whatever there is to read


def cache_folder() -> Path | None:
    """``$NEARFAR_CACHE``, else ``nearfar`` in the user's cache folder; None when ``NEARFAR_CACHE`` is set to nothing,
    which keeps nothing. It may be deleted at any time."""
    own = os.environ.get("NEARFAR_CACHE")
    if own is not None:
        return Path(own) if own else None
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(base or "~/.cache").expanduser() / "nearfar"


def remove_parts(folder: Path) -> None:
    """Remove what :func:`atomic_write` left in ``folder`` and below when its process was killed."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """What the system said, in the words people search for."""
    if error.errno == errno.EFBIG:
        return "the file is larger than this process may write (see `ulimit -f`)"
    return (error.strerror or str(error)).lower()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse to sync a folder; the rename itself is done
    finally:
        os.close(descriptor)
