"""What every reader says of data that it cannot open."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.spelling import meant

__all__ = ["as_array", "as_path", "nothing_there"]

MOST = 10_000
"""Files of a folder among which the one that was meant is looked for."""


def as_array(data: Any, what: str) -> np.ndarray:
    """An array of numbers or names of what a program holds: an array, a tensor, a list of equal rows.

    Raises:
        TypeError: it holds anything else. ValueError: its rows have several lengths.
    """
    if hasattr(data, "detach"):
        data = (data.to_dense() if getattr(data, "is_sparse", False) else data).detach().cpu()
    if not hasattr(data, "__array__") and not isinstance(data, list | tuple | int | float):
        raise TypeError(f"{what} must be an array, a tensor or a list of equal rows; got {_kind_of(data)}")
    try:
        found = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"{what} must have rows of one length; got a list whose rows have several") from error
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{what} cannot be read as an array: {error}") from error
    if found.dtype.kind not in "biufU":
        raise TypeError(f"{what} must be numbers; got {found.dtype} values")
    return found


def as_path(data: Any, what: str, embedded: Iterable[str], also: str = "") -> Path:
    """The path that data lies at.

    Args:
        data: what was given.
        what: what is read, in the plural, as the beginning of a sentence.
        embedded: names of embedded data.
        also: what of a program's own objects is taken besides.

    Raises:
        TypeError: it is no path; the sentence says what is taken.
    """
    if isinstance(data, str | os.PathLike) and not isinstance(fspath := os.fspath(data), bytes):
        return Path(fspath)
    raise TypeError(
        f"{what} are read from a file or a folder at a path, or from embedded data ({', '.join(embedded)})"
        f"{f', or taken from {also}' if also else ''}; got {_kind_of(data)}"
    )


def _kind_of(data: Any) -> str:
    if isinstance(data, type):
        return f"the class {data.__name__}"
    return f"a {type(data).__name__}" + (f" of {len(data):,}" if isinstance(data, list | tuple | dict | set) else "")


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
