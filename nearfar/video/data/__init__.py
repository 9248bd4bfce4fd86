"""Where what moves comes from: files, folders, arrays, and generated sets whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nearfar.sources.archives import read_npz
from nearfar.training import Data
from nearfar.video.data.skeleton_files import arranged, skeletons_of
from nearfar.video.data.skeletons import SkeletonBatch, SkeletonSet

__all__ = ["EMBEDDED", "SkeletonBatch", "SkeletonSet", "load"]

EMBEDDED = {
    "stick-figures": "people of 25 joints who act out twelve actions, seen from anywhere",
}


def load(
    data: str | Path | np.ndarray | Data | None = None,
    *,
    frames: int = 0,
    count: int = 0,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """What moves, from wherever it is.

    Args:
        data: skeletons as ``.npz`` (``x`` and perhaps ``y``, or ``train_x``, ``train_y``, ``test_x``, ``test_y``) or
            ``.npy`` of shape (N, C, T, V, M), (N, M, T, V, C), (N, T, V, C) or (N, T, M * 25 * 3), joints in NTU's
            order or another known one; an array; an embedded name.
        frames: of every sequence; 50 of skeletons when 0.
        count: number of examples that embedded sets generate; each has its own.
        strict: stop at the first example that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of examples that may be unusable, in [0, 1]; more stop the run.
    """
    if isinstance(data, Data):
        return data
    options: dict[str, Any] = {"strict": strict, "max_bad": max_bad}
    if frames:
        options["frames"] = frames
    if data is None or (isinstance(data, str) and data in EMBEDDED):
        return _generated(str(data or "stick-figures"), count, frames)
    if not isinstance(data, str | Path):
        array = np.asarray(data)
        return SkeletonSet(arranged(array, "the array"), name="array", **options)
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file {path}, and no embedded data of that name; embedded are {', '.join(EMBEDDED)}"
        )
    if path.suffix == ".npz":
        arrays = read_npz(path)
        return skeletons_of(arrays, path.stem, **options)
    if path.suffix == ".npy":
        array = _mapped(path)
        return SkeletonSet(arranged(array, str(path)), name=path.stem, **options)
    raise ValueError(f"{path} is nothing that this reads: .npz, .npy")


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .npy file of numbers: {error}") from error


def _generated(name: str, count: int, frames: int) -> Data:
    from nearfar.video.data import stick_figures

    return stick_figures.stick_figures(count or 480, steps=frames or stick_figures.STEPS)
