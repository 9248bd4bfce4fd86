"""What lies inside of a shard."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["STORED", "Bad", "Member"]

STORED, DEFLATED = 0, 8
"""How a member is packed, as zip counts it."""


class Member(NamedTuple):
    """A file inside of an archive.

    Attributes:
        name: its path there.
        offset: where its content begins, in bytes.
        packed: bytes that it takes there.
        size: bytes that it has.
        method: how it is packed, :data:`STORED` or :data:`DEFLATED`.
    """

    name: str
    offset: int
    packed: int
    size: int
    method: int


class Bad(NamedTuple):
    """Something inside of an archive that cannot be used, and why."""

    place: str
    reason: str
