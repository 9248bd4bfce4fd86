"""What every reader says of data that it cannot open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nearfar.spelling import meant

__all__ = ["nothing_there"]

MOST = 10_000
"""Files of a folder among which the one that was meant is looked for."""


def nothing_there(path: Path | str, embedded: Iterable[str]) -> FileNotFoundError:
    """The error of a path where nothing is and a name that no embedded data has; it names what was probably meant,
    among embedded data and what lies beside."""
    names = [*embedded]
    near = meant(str(path), names, before=", ") or _beside(Path(path))
    return FileNotFoundError(
        f"there is no file or folder {path}, and no embedded data of that name{near or ''}"
        f"{' Embedded' if near else '; embedded'} are {', '.join(names)}"
    )


def _beside(path: Path) -> str:
    """What lies in the same folder and is called nearly so; nothing where there is no folder."""
    try:
        found = [each.name for each, _ in zip(path.parent.iterdir(), range(MOST), strict=False)]
    except (OSError, ValueError):  # not there, not to be listed, or no path at all
        return ""
    near = meant(path.name, [name for name in found if not name.startswith(".")], before=", ")
    return near if path.parent == Path() else near.replace("did you mean ", f"in {path.parent} did you mean ")
