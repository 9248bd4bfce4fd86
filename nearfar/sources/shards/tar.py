"""Tar archives as a list of where their members lie; damage inside is passed over, and said.

Headers are read one by one and contents are not, so that a shard of a gigabyte is listed in a blink. A header whose
checksum is wrong is searched past: whatever follows with a good one is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from nearfar.sources.shards.member import Bad, Member

__all__ = ["tar_members"]

BLOCK = 512
NOTHING = bytes(BLOCK)
MAGIC = slice(257, 262)
ORDINARY = (b"0", b"\0", b"7")
LINKS = (b"1", b"2")
LONGEST_NAME = 1 << 16
SEARCHED = 1 << 20
"""Bytes read at a time in search of the next header."""


class _Damaged(Exception):
    pass


def tar_members(handle: int, size: int) -> Iterator[Member | Bad]:
    """The ordinary files of a tar archive (POSIX, GNU), in its order, and what cannot be used.

    Args:
        handle: descriptor of the open archive.
        size: its bytes.
    """
    at = 0
    named: dict[str, str] = {}
    while at + BLOCK <= size:
        header = os.pread(handle, BLOCK, at)
        if header == NOTHING:
            return
        try:
            kind, name, length = _header(header)
        except _Damaged as error:
            after = _next_header(handle, at + BLOCK, size)
            yield Bad(f"byte {at}", f"{error}; {'the next is at byte ' + str(after) if after else 'none follows'}")
            if after is None:
                return
            at, named = after, {}
            continue
        start = at + BLOCK
        if kind in (b"x", b"L"):
            content = os.pread(handle, min(length, LONGEST_NAME), start)
            named |= _pax(content) if kind == b"x" else {"path": content.rstrip(b"\0").decode(errors="replace")}
        elif kind not in (b"g", b"K"):
            name = named.get("path", name)
            if named.get("size", "").isdigit():
                length = int(named["size"])
            if "GNU.sparse.major" in named or "GNU.sparse.size" in named or kind == b"S":
                yield Bad(name, "it is stored with holes, which is not read")
            elif kind in LINKS:
                yield Bad(name, "it is a link and no file")
            elif kind in ORDINARY and not name.endswith("/"):
                if start + length > size:
                    yield Bad(name, f"the archive ends {start + length - size:,} bytes before it does")
                    return
                yield Member(name, start, length, length, 0)
            named = {}
        at = start + -(-length // BLOCK) * BLOCK
    if at > size:
        yield Bad(f"byte {size}", "the archive ends within a member")


def _header(header: bytes) -> tuple[bytes, str, int]:
    """Kind, name and length of a member.

    Raises:
        _Damaged: it is no header.
    """
    try:
        claimed = int(header[148:156].strip(b" \0") or b"-1", 8)
    except ValueError:
        claimed = -1
    if claimed != sum(header) - sum(header[148:156]) + 8 * 32:
        raise _Damaged("there is no header of a member here, or it is damaged")
    name = header[:100].split(b"\0", 1)[0]
    if header[MAGIC] == b"ustar" and header[262:263] == b"\0" and header[345]:
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    field = header[124:136]
    try:  # large ones are binary
        length = int.from_bytes(field[1:], "big") if field[0] & 0x80 else int(field.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise _Damaged("the header of a member here claims no length") from error
    if length < 0:
        raise _Damaged("the header of a member here claims a negative length")
    return header[156:157], name.decode(errors="replace"), length


def _pax(content: bytes) -> dict[str, str]:
    """The records ``length key=value`` of an extended header; what is none ends them."""
    found: dict[str, str] = {}
    while content:
        length, _, _ = content.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(content):
            break
        key, _, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key.decode(errors="replace")] = value.decode(errors="replace")
        content = content[int(length) :]
    return found


def _next_header(handle: int, at: int, size: int) -> int | None:
    """Where the next block is that is a header."""
    while at < size:
        piece = os.pread(handle, SEARCHED, at)
        if not piece:
            return None
        for inside in range(0, len(piece) - BLOCK + 1, BLOCK):
            block = piece[inside : inside + BLOCK]
            if block[MAGIC] == b"ustar":
                try:
                    _header(block)
                except _Damaged:
                    continue
                return at + inside
        at += len(piece)
    return None
