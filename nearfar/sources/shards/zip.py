"""Zip archives as a list of where their members lie."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator

from nearfar.sources.shards.member import DEFLATED, STORED, Bad, Member

__all__ = ["unpacked", "zip_members"]

LOCAL = struct.Struct("<4s22xHH")
"""Of the header before a member: its sign, and how long the name and what follows it are."""


def zip_members(handle: int, size: int) -> Iterator[Member | Bad]:
    """The files of a zip archive in the order in which they lie, and what cannot be used.

    Args:
        handle: descriptor of the open archive.
        size: its bytes.

    Raises:
        ValueError: the list of members at the archive's end is missing or damaged.
    """
    try:
        with os.fdopen(os.dup(handle), "rb") as file, zipfile.ZipFile(file) as archive:
            found = sorted(archive.infolist(), key=lambda member: member.header_offset)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError, struct.error, OSError) as error:
        raise ValueError(f"it is no zip archive, or its end is damaged: {error}") from error
    for member in found:
        if member.is_dir():
            continue
        if member.flag_bits & 1:
            yield Bad(member.filename, "it is locked by a password")
        elif member.compress_type not in (STORED, DEFLATED):
            kind = member.compress_type
            yield Bad(member.filename, f"it is packed by method {kind}; read are stored and deflated members")
        else:
            before = os.pread(handle, LOCAL.size, member.header_offset) if member.header_offset >= 0 else b""
            sign, name, extra = LOCAL.unpack(before) if len(before) == LOCAL.size else (b"", 0, 0)
            start = member.header_offset + LOCAL.size + name + extra
            if sign != b"PK\x03\x04" or start + member.compress_size > size:
                yield Bad(member.filename, "the archive does not hold it where its list says")
            else:
                yield Member(member.filename, start, member.compress_size, member.file_size, member.compress_type)


def unpacked(content: bytes, size: int) -> bytes:
    """A deflated member of ``size`` bytes.

    Raises:
        ValueError: damaged, or of another size.
    """
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflate.decompress(content, size + 1)
    except zlib.error as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(found) != size:
        raise ValueError(f"it unpacks to other than the {size:,} bytes that the archive claims")
    return found
