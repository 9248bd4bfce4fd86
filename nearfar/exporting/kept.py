"""Nothing is kept that does not say what the method says."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CLOSE", "apart", "kept", "write_json"]

CLOSE = 1e-4
"""Largest difference of a number of a vector, as a share of the vectors' root mean square."""


def kept(
    folder: Path, expected: Callable[[], np.ndarray], write: Callable[[Path], None], read: Callable[[Path], np.ndarray]
) -> None:
    """Write into a new folder, read it back, and give it its name when it says what is expected.

    Raises:
        FileExistsError: the folder is there and not empty.
        ValueError: it cannot be written, or what was read back gives other vectors; nothing is left then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not an empty folder; choose another name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        wanted = expected()
        write(place)
        if not apart(read(place), wanted) <= CLOSE:
            raise ValueError("what was read back gives other vectors")
        place.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        place.rename(folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference as a share of the root mean square; infinite where shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    size = max(float(np.sqrt(np.square(expected, dtype=np.float64).mean())), 1e-12)
    return float(np.abs(found - expected).max()) / size


def write_json(path: Path, value: Mapping[str, Any] | list[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")
