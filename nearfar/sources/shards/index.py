"""Where everything lies inside of shards: read once, kept, and read from there ever after.

An index is a parquet file with a row for each member: name, offset, bytes, and the text of small members (labels,
captions, descriptions). It is kept in the cache folder (:func:`nearfar.common.files.cache_folder`) under the shard's
place, size and date, and beside a shard that ``nearfar data pack`` wrote, under the shard's size and ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nearfar.common.files import atomic_write, cache_folder
from nearfar.common.memory import room
from nearfar.sources.shards.member import STORED, Bad, Member
from nearfar.sources.shards.places import BESIDE, LocalShard, Shard
from nearfar.sources.shards.tar import tar_members
from nearfar.sources.shards.zip import unpacked, zip_members

__all__ = ["TEXTS", "Index", "contents_of", "index_of", "verdicts", "write_index"]

TEXTS = (".cls", ".txt", ".caption", ".json")
"""Suffixes of members whose text the index keeps."""

LONGEST_TEXT = 1 << 20
"""Bytes of a text that is kept; longer ones are left out."""

VERSION = "1"


class Index(NamedTuple):
    """The members of one shard, in its order, as columns; and what cannot be used.

    Attributes:
        names: their paths inside of the shard.
        offsets, packed, sizes, methods: as in :class:`nearfar.sources.shards.member.Member`.
        texts: what small members of :data:`TEXTS` hold, by position.
        bad: places inside of the shard, and why they are left out.
        beside: whether it is the one that lies beside the shard, where ``nearfar data pack`` put it.
    """

    names: list[str]
    offsets: list[int]
    packed: list[int]
    sizes: list[int]
    methods: list[int]
    texts: dict[int, str]
    bad: list[tuple[str, str]]
    beside: bool = False


def index_of(shard: Shard) -> Index:
    """The index that is kept of a shard, or a new one, which is kept then.

    Raises:
        ValueError: the file is no archive that is read, or none any more. OSError: it cannot be had.
    """
    beside = shard.index_beside()
    found = None if beside is None else _read(beside, shard.ends)
    if found is not None:
        return found._replace(beside=True)
    kept = _kept_at(shard, BESIDE)
    if kept is not None and kept.is_file():
        found = _read(kept, lambda: VERSION)
        if found is not None:
            return found
    made = _listed(shard)
    if kept is not None:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time and nothing else
            _write(kept, made, VERSION)
    return made


def write_index(shard: LocalShard) -> Path:
    """Put the index of a shard beside it, where it is found without the cache."""
    beside = shard.path.with_name(shard.path.name + BESIDE)
    _write(beside, _listed(shard), shard.ends())
    return beside


def verdicts(shard: Shard, kind: str, judge: Callable[[], list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """What ``judge`` says of members that cannot be used, and why; of one shard it is asked once.

    Args:
        shard: the shard.
        kind: what is judged, a word for the name of the file that keeps it.
        judge: looks into the members.
    """
    kept = _kept_at(shard, f".{kind}")
    if kept is not None and kept.is_file():
        with contextlib.suppress(OSError, ValueError, TypeError):
            return [(str(place), str(reason)) for place, reason in json.loads(kept.read_text())]
    found = judge()
    if kept is not None:
        with contextlib.suppress(OSError), atomic_write(kept, "w") as file:
            json.dump(found, file)
    return found


def contents_of(handle: int, offset: int, packed: int, size: int, method: int) -> bytes:
    """A member's content from an open shard.

    Raises:
        ValueError: the shard is shorter than it was, or the member is damaged. OSError: it cannot be read.
    """
    content = os.pread(handle, packed, offset)
    while len(content) < packed:
        more = os.pread(handle, packed - len(content), offset + len(content))
        if not more:
            raise ValueError("the shard is shorter than it was")
        content += more
    return content if method == STORED else unpacked(content, size)


def _kept_at(shard: Shard, suffix: str) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    name = hashlib.blake2b(shard.identity().encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return folder / "indexes" / name[:2] / f"{name}{suffix}"


def _listed(shard: Shard) -> Index:
    """Read the archive from one end to the other."""
    with shard.open() as file:
        size, sign = os.fstat(file.fileno()).st_size, os.pread(file.fileno(), 4, 0)
        if not size:
            raise ValueError(f"{shard.name} is empty")
        if sign[:2] == b"\x1f\x8b" or sign == b"\x28\xb5\x2f\xfd" or sign[:3] == b"BZh":
            raise ValueError(
                f"{shard.name} is packed as a whole, and can only be read from its beginning; unpack it once (gunzip, "
                "unzstd, bunzip2), or give its pictures to `nearfar data pack`"
            )
        list_members = zip_members if sign[:2] == b"PK" else tar_members
        made = Index([], [], [], [], [], {}, [])
        try:
            for member in list_members(file.fileno(), size):
                if isinstance(member, Bad):
                    made.bad.append((member.place, member.reason))
                else:
                    _take(made, member, file.fileno())
        except ValueError as error:
            raise ValueError(f"{shard.name}: {error}") from error
        if not made.names and made.bad:
            raise ValueError(f"{shard.name} is no archive that is read, or is damaged: {made.bad[0][1]}")
    return made


def _take(made: Index, member: Member, handle: int) -> None:
    name = member.name.removeprefix("./")
    if member.size > room():
        made.bad.append((name, f"it claims {member.size:,} bytes, more than one file may take"))
        return
    if name.lower().endswith(TEXTS) and member.size <= LONGEST_TEXT:
        try:
            content = contents_of(handle, *member[1:])
            made.texts[len(made.names)] = content.removeprefix(b"\xef\xbb\xbf").decode()
        except UnicodeDecodeError as error:
            made.bad.append((name, f"byte 0x{content[error.start]:02x} at position {error.start + 1} is not UTF-8"))
            return
        except ValueError as error:
            made.bad.append((name, str(error)))
            return
    for column, value in zip(
        (made.names, made.offsets, made.packed, made.sizes, made.methods), (name, *member[1:]), strict=False
    ):
        column.append(value)  # type: ignore[attr-defined]


def _write(path: Path, made: Index, sign: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: Mapping[str, Any] = {
        "name": pa.array(made.names, pa.string()),
        "offset": pa.array(made.offsets, pa.int64()),
        "packed": pa.array(made.packed, pa.int64()),
        "size": pa.array(made.sizes, pa.int64()),
        "method": pa.array(made.methods, pa.int8()),
        "text": pa.array([made.texts.get(row) for row in range(len(made.names))], pa.string()),
    }
    table = pa.table(columns).replace_schema_metadata({"sign": sign, "bad": json.dumps(made.bad)})
    with atomic_write(path) as file:
        pq.write_table(table, file, compression="zstd")


def _read(path: Path, sign: Callable[[], str]) -> Index | None:
    """An index as it was written; ``None`` where it is damaged, or that of another shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, memory_map=False)
        told = table.schema.metadata or {}
        if told.get(b"sign", b"").decode() != sign():
            return None
        bad = [(str(place), str(reason)) for place, reason in json.loads(told[b"bad"])]
        names = table.column("name").to_pylist()
        offsets, packed, sizes, methods = (table.column(n).to_pylist() for n in ("offset", "packed", "size", "method"))
        texts = {row: text for row, text in enumerate(table.column("text").to_pylist()) if text is not None}
        made = Index(names, offsets, packed, sizes, methods, texts, bad)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
        return None
    fine = all(min(values, default=0) >= 0 for values in (made.offsets, made.packed, made.sizes))
    return made if fine and max([*made.sizes, *made.packed], default=0) <= room() else None
