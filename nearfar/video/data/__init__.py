"""Where what moves comes from: files, folders, arrays, and generated sets whose truth is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.sources.archives import read_npz
from nearfar.sources.labels import one_label
from nearfar.sources.opening import as_array, nothing_there
from nearfar.sources.splits import by_split, split_of
from nearfar.training import Data
from nearfar.video.data.clips import ClipBatch, VideoArray, VideoFiles
from nearfar.video.data.decode import CONTAINERS, PICTURES, pictures_in
from nearfar.video.data.points import PointBatch, PointSet, points_of
from nearfar.video.data.skeleton_files import JOINTS, arranged, skeletons_of
from nearfar.video.data.skeletons import SkeletonBatch, SkeletonSet

__all__ = [
    "EMBEDDED",
    "ClipBatch",
    "PointBatch",
    "PointSet",
    "SkeletonBatch",
    "SkeletonSet",
    "VideoArray",
    "VideoFiles",
    "load",
]

EMBEDDED = {
    "stick-figures": "people of 25 joints who act out twelve actions, seen from anywhere",
    "moving-shapes": "videos of five shapes, each in one of six motions, over ground of any colours",
    "moving-solids": "videos of points on four solids, each with an arm in one of five motions",
}


def load(
    data: str | Path | np.ndarray | Data | None = None,
    *,
    frames: int = 0,
    size: int = 128,
    count: int = 0,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """What moves, from wherever it is.

    Args:
        data: skeletons as ``.npz`` (``x`` and perhaps ``y``, or ``train_x``, ``train_y``, ``test_x``, ``test_y``) or
            ``.npy`` of shape (N, C, T, V, M), (N, M, T, V, C), (N, T, V, C) or (N, T, M * 25 * 3), joints in NTU's
            order or another known one; videos as ``.npz`` (``x`` and perhaps ``y``) or ``.npy`` of shape
            (N, T, H, W, 3) uint8; a folder of video files (``.mp4``, ``.avi``, ``.mkv``, ``.webm``, ``.mov``,
            ``.mpg``, ``.gif``) or of folders of frames, the folders around them being their classes and folders
            ``train`` and ``test`` its parts; videos of points as ``.npz`` (``points`` and perhaps ``y``, or
            ``train_points``, ``train_y``, ``test_points``, ``test_y``) or ``.npy`` of shape (N, T, P, 3), P the joints
            of no skeleton; an array; an embedded name.
        frames: of every example; 50 of skeletons and 64 of videos in files when 0.
        size: side of the frames of videos in files.
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
        return _array(as_array(data, "videos"), "the array", "array", options)
    path = Path(data)
    if not path.exists():
        raise nothing_there(path, EMBEDDED)
    if path.is_dir():
        return _folder(path, {**options, "size": size})
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if _are_frames(arrays.get("x")):
            return VideoArray(arrays["x"], one_label(arrays.get("y"), f"the labels of {path}"), name=path.stem)
        if (points := points_of(arrays, path.stem, strict=strict, max_bad=max_bad)) is not None:
            return points
        return skeletons_of(arrays, path.stem, **options)
    if path.suffix == ".npy":
        return _array(_mapped(path), str(path), path.stem, options)
    raise ValueError(f"{path} is nothing that this reads: a folder of videos or of frames, .npz, .npy")


def _are_frames(array: np.ndarray | None) -> bool:
    return array is not None and array.ndim == 5 and array.shape[4] == 3 and array.dtype == np.uint8


def _array(array: np.ndarray, where: str, name: str, options: dict[str, Any]) -> Data:
    if _are_frames(array):
        return VideoArray(array, name=name)
    if array.ndim == 4 and array.shape[3] == 3 and array.shape[2] not in JOINTS and array.dtype.kind in "iuf":
        return PointSet(array, name=name, strict=options["strict"], max_bad=options["max_bad"])
    return SkeletonSet(arranged(array, where), name=name, **options)


def _folder(root: Path, options: dict[str, Any]) -> VideoFiles:
    """Videos below a folder; its parts where it has one for training."""
    parts, _ = by_split([each for each in root.iterdir() if each.is_dir()], lambda each: split_of(each.name))
    if not parts:
        return _videos(root, root.name, "", options)
    held: dict[str, Data] = {
        split: _videos(folders[0], f"{root.name} {split}", folders[0].name, options)
        for split, folders in parts.items()
        if split != "train"
    }
    train = parts["train"][0]
    return _videos(train, f"{root.name} train", train.name, {**options, "splits": held})


def _videos(root: Path, name: str, part: str, options: dict[str, Any]) -> VideoFiles:
    found: list[Path] = []
    for here, inside, names in os.walk(root):
        inside[:] = sorted(each for each in inside if not each.startswith("."))
        visible = [each for each in names if not each.startswith(".")]
        found += [Path(here, each) for each in visible if Path(each).suffix.lower() in CONTAINERS]
        if any(Path(each).suffix.lower() in PICTURES for each in visible) and pictures_in(Path(here)):
            found.append(Path(here))
    if not found:
        raise ValueError(f"{root} holds no video: no file below it ends in {', '.join(CONTAINERS)}, and no frames")
    found.sort()
    classes = [str(each.parent.relative_to(root)) if each != root else "." for each in found]
    labels = np.array(classes) if len(set(classes)) > 1 else None
    names = [str(each.relative_to(root)) for each in found]
    return VideoFiles(found, names=names, labels=labels, root=root, name=name, folder=part, **options)


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .npy file of numbers: {error}") from error


def _generated(name: str, count: int, frames: int) -> Data:
    from nearfar.video.data import moving_shapes, moving_solids, stick_figures

    if name == "moving-shapes":
        return moving_shapes.moving_shapes(count or 320, frames=frames or 24)
    if name == "moving-solids":
        return moving_solids.moving_solids(count or 320, frames=frames or 12)
    return stick_figures.stick_figures(count or 480, steps=frames or stick_figures.STEPS)
