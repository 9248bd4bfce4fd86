"""What a user's words for shards mean, and which part of a data set each shard belongs to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from nearfar.sources.fingerprint import file_contents
from nearfar.sources.shards.cache import file_cache
from nearfar.sources.shards.places import ARCHIVES, LocalShard, Shard, expanded, shards_below
from nearfar.sources.shards.remote import MIX, is_url, remote_shards
from nearfar.sources.splits import by_split

__all__ = ["Found", "shard_contents", "shards_at", "shards_by_part"]


class Found(NamedTuple):
    """Shards, what to call them together, and how many are mixed at a time; see :func:`shards_at`."""

    shards: list[Shard]
    name: str
    mix: int


def shards_at(data: Path | str, mix: int = 0, unless: Callable[[Path], bool] = lambda folder: False) -> Found | None:
    """The shards that a name means: a URL, names with braces, an archive, a folder of archives; ``None``
    where it is nothing of the kind, or ``unless`` says that the folder is something else.

    Of those at URLs few are mixed at a time, which the cache must hold twice.

    Raises:
        FileNotFoundError: there are not as many as it says. ValueError: the cache is too small. OSError: they cannot
            be had.
    """
    text, path = str(data), Path(data)
    if is_url(text):
        shards = remote_shards(text)
        together = mix or MIX
        most, limit = sum(sorted((s.size for s in shards), reverse=True)[: 2 * together]), file_cache().limit
        if most > limit:
            raise ValueError(
                f"{together} shards of {text} mixed at a time, and the next ones, take {most / 1e9:,.2f} GB, and the "
                f"cache holds {limit / 1e9:,.2f} GB; raise NEARFAR_CACHE_LIMIT, or lower --mix"
            )
        return Found([*shards], text.rstrip("/").rpartition("/")[2], together)
    root, paths = path, [path]
    if "{" in text and not path.exists():
        root, paths = path.parent, [Path(each) for each in expanded(text)]
        missing = [each for each in paths if not each.is_file()]
        if missing:
            raise FileNotFoundError(f"there is no file {missing[0]} ({len(missing):,} of the {len(paths):,} of {text})")
    elif path.is_dir():
        paths = shards_below(path)
        if not paths or unless(path):
            return None
    elif path.suffix.lower() not in ARCHIVES or not path.is_file():
        return None
    return Found([LocalShard(each, root) for each in paths], root.name, mix)


def shards_by_part(shards: Sequence[Shard], name: str) -> dict[str, list[Shard]]:
    """Shards by the part that their names say, ``train`` among them; all of them where none is for training.

    Args:
        shards: where they lie.
        name: of the collection, for the warning of shards that name no part.
    """
    by_path = {Path(shard.name): shard for shard in shards}
    parts, rest = by_split(by_path)
    if parts and rest:
        warnings.warn(
            f"{len(rest)} shards of {name} name no part and are left out beside those that do, the first: "
            f"{rest[0].name}",
            stacklevel=4,
        )
    return {part: [by_path[path] for path in of] for part, of in parts.items()} or {"train": [*shards]}


def shard_contents(shards: Sequence[Shard]) -> dict[str, str]:
    """What tells shards from others and from themselves when they have changed; see
    :mod:`nearfar.sources.fingerprint`."""
    local = [shard for shard in shards if isinstance(shard, LocalShard)]
    found = file_contents(Path("/"), [os.path.abspath(shard.path) for shard in local])
    told = dict(zip((shard.name for shard in local), found.values(), strict=True))
    return told | {shard.name: shard.identity() for shard in shards if not isinstance(shard, LocalShard)}
