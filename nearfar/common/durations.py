"""Lengths of time, as people say them."""

from __future__ import annotations


def in_time(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever says most."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"
