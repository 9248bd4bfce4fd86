"""Rendered scenes kept between runs, in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

import nearfar.segmentation.street
from nearfar.common.files import atomic_write, cache_folder
from nearfar.segmentation.street import StreetScenes

MOST_BYTES = 1 << 30
"""What all kept scenes together may take; the ones unused for longest go first."""

Rendered = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def rendered(renderer: StreetScenes, scenes: npt.NDArray[np.integer], appearances: Sequence[str]) -> Rendered:
    """What ``renderer.batch(scenes, appearances)`` gives, from the cache when it has been rendered before.

    A file's name depends on the renderer's source, its size and seed, the scenes and the appearances, so a file
    never holds anything else. A damaged one is rendered anew, and a folder that cannot be written is left alone.
    """
    folder = cache_folder()
    wanted = f"{renderer!r} {np.asarray(scenes).tolist()} {list(appearances)} {_source()}"
    name = f"street-{hashlib.sha256(wanted.encode()).hexdigest()[:24]}.npz"
    shape = (len(scenes), len(appearances), *renderer.size, 3)
    if folder is not None:
        kept = _read(folder / name, shape)
        if kept is not None:
            return kept
    images, labels = renderer.batch(scenes, appearances)
    if folder is not None and images.nbytes + labels.nbytes <= MOST_BYTES // 2:
        _keep(folder / name, images, labels)
    return images, labels


def _read(path: Path, shape: tuple[int, ...]) -> Rendered | None:
    try:
        with np.load(path) as found:
            images, labels = found["images"], found["labels"]
        os.utime(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (images, labels) if images.shape == shape and images.dtype == labels.dtype == np.uint8 else None


def _keep(path: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> None:
    try:
        with atomic_write(path) as file:
            np.savez(file, images=images, labels=labels)
        files = sorted(path.parent.glob("street-*.npz"), key=lambda each: each.stat().st_mtime, reverse=True)
        total = 0
        for each in files:
            total += each.stat().st_size
            if total > MOST_BYTES:
                each.unlink(missing_ok=True)
    except OSError:
        return  # a full or read-only disk costs the next run its rendering time and nothing else


@lru_cache(maxsize=1)
def _source() -> str:
    """Digest of the renderer's source: another version of it is another street."""
    digest = hashlib.sha256()
    for path in sorted(Path(nearfar.segmentation.street.__path__[0]).glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
