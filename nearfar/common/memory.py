"""How much memory what comes from a file may take."""

from __future__ import annotations

import os
from pathlib import Path

SHARE = 0.5
"""Of this machine's memory, or of what a container leaves of it, that the content of one file may take."""

_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory() -> int:
    """Bytes of memory of this machine, or the limit of the container that the process runs in."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in _CONTAINER:
        try:
            found = min(found, int(Path(file).read_text()))
        except (OSError, ValueError):  # no container, or no limit
            continue
    return found


def room() -> int:
    """Bytes that the content of one file may take once it is unpacked."""
    return int(memory() * SHARE)


def check_room(claimed: float, what: str) -> None:
    """Raises:
    ValueError: ``what`` (the beginning of a sentence) claims more than there is room for.
    """
    most = room()
    if claimed > most:
        raise ValueError(
            f"{what} claims {claimed / 1e9:,.1f} GB, more than the {most / 1e9:,.1f} GB that one file may take (half "
            "of this machine's memory)"
        )
