"""Shards at URLs: s3, gs, hf, http and whatever else fsspec has a driver for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from nearfar.common.extras import needed
from nearfar.sources.shards.cache import file_cache
from nearfar.sources.shards.places import ARCHIVES, BESIDE, ENDS, expanded, sign_of
from nearfar.sources.skipped import plain

__all__ = ["MIX", "RemoteShard", "fetched", "is_url", "remote_shards"]

MIX = 16
"""Shards from elsewhere whose examples are mixed at a time when nothing else is said."""

ATTEMPTS = 3
PAUSE = 0.2
"""Seconds before the second attempt; twice as long before the third."""

T = TypeVar("T")


def is_url(text: str) -> bool:
    """Whether a text names a place elsewhere: a scheme, ``://`` and more."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").replace(":", "").isalnum()


class RemoteShard:
    """A shard at a URL, fetched whole into the cache when it is read.

    Raises:
        ImportError: the driver of its scheme is not installed. OSError: it cannot be had.
    """

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, plain(name)
        told = _asked(url, lambda fs, path: (fs.info(path), fs.ukey(path)))
        self.size = int(told[0].get("size") or 0)
        # What a server says of a file's date and content; ukey alone is the URL's for some.
        signs = [str(told[0][key]) for key in sorted(told[0]) if key.lower() in SIGNS]
        self._beside: Path | Literal[False] | None = None
        self._identity = "\0".join([url, str(self.size), str(told[1]), *signs])

    def open(self) -> IO[bytes]:
        return file_cache().opened(self._identity, self.name, self.size, self._fetch)

    def identity(self) -> str:
        return self._identity

    def index_beside(self) -> Path | None:
        """The index beside the shard, fetched, where there is one."""
        if self._beside is None:
            try:
                with RemoteShard(self.url + BESIDE, self.name + BESIDE).open() as file:
                    self._beside = Path(file.name)
            except OSError:
                self._beside = False
        return self._beside or None

    def ends(self) -> str:
        def parts(fs: Any, path: str) -> tuple[bytes, bytes]:
            return fs.cat_file(path, 0, min(ENDS, self.size)), fs.cat_file(path, max(self.size - ENDS, 0), self.size)

        try:
            first, last = _asked(self.url, parts)
        except OSError:
            first = last = b""
        if len(first) != min(ENDS, self.size) or len(last) != len(first):  # a server that gives no parts of files
            with self.open() as file:
                first = os.pread(file.fileno(), ENDS, 0)
                last = os.pread(file.fileno(), ENDS, max(self.size - ENDS, 0))
        return sign_of(self.size, first, last)

    def _fetch(self, to: Path) -> None:
        _asked(self.url, lambda fs, path: fs.get_file(path, str(to)))


SIGNS = ("etag", "mtime", "lastmodified", "last_modified", "created", "oid", "generation")


def remote_shards(url: str, suffixes: Sequence[str] = ARCHIVES) -> list[RemoteShard]:
    """The shards that a URL names: one, several by braces or stars, or those in a folder.

    Raises:
        FileNotFoundError: there are none. ImportError, OSError: as for :class:`RemoteShard`.
    """
    found: list[str] = []
    for each in expanded(url):
        if each.lower().endswith(tuple(suffixes)) and "*" not in each:
            found.append(each)
            continue
        patterns = [each] if "*" in each else [f"{each.rstrip('/')}/*", f"{each.rstrip('/')}/*/*"]
        for pattern in patterns:
            names = _asked(pattern, lambda fs, path: [fs.unstrip_protocol(str(name)) for name in fs.glob(path)])
            names = sorted(name for name in names if name.lower().endswith(tuple(suffixes)))
            found += names
            if names:
                break
    if not found:
        raise FileNotFoundError(f"there is no {' or '.join(suffixes)} file at {url}")
    folders = [each.split("/")[:-1] for each in found]
    shared = next((i for i, parts in enumerate(zip(*folders, strict=False)) if len({*parts}) > 1), len(folders[0]))
    depth = min(shared, *map(len, folders))
    with ThreadPoolExecutor(16) as pool:  # each is asked for its size
        return [*pool.map(lambda each: RemoteShard(each, "/".join(each.split("/")[depth:])), found)]


def fetched(url: str) -> Path:
    """A file at a URL, in the cache.

    Raises:
        ImportError, OSError: as for :class:`RemoteShard`.
    """
    with RemoteShard(url, url.rpartition("/")[2]).open() as file:
        return Path(file.name)


def _asked(url: str, ask: Callable[[Any, str], T]) -> T:
    """What a file system says, asked up to three times.

    Raises:
        FileNotFoundError: there is no such file. ImportError: no driver. OSError: anything else.
    """
    core = needed("fsspec.core", "remote", "reading from URLs")
    for attempt in range(ATTEMPTS):
        try:
            fs, path = core.url_to_fs(url)
            return ask(fs, path)
        except FileNotFoundError as error:
            why = error.__cause__  # of http: a server that does not answer is reported so too
            if isinstance(why, Exception) and str(why) and "404" not in str(why):
                raise OSError(f"{url} cannot be had: {_first_line(why)}") from error
            raise FileNotFoundError(f"there is no file {url}") from error
        except ImportError as error:
            scheme = url.partition("://")[0]
            raise ImportError(f"reading from {scheme}:// needs a driver: pip install 'nearfar[remote]'") from error
        except ValueError as error:
            raise OSError(f"{url} cannot be read: {_first_line(error)}") from error
        except Exception as error:  # every driver has errors of its own
            if attempt + 1 == ATTEMPTS or isinstance(error, PermissionError):
                raise OSError(f"{url} cannot be had: {_first_line(error)}") from error
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _first_line(error: Exception) -> str:
    return plain((str(error) or type(error).__name__).strip().split("\n")[0])
