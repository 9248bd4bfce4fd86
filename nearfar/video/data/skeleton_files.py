"""Arrays of skeletons as people keep them, brought to one order of axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nearfar.sources.labels import one_label
from nearfar.video.data.layouts import LAYOUTS
from nearfar.video.data.skeletons import SkeletonSet

__all__ = ["arranged", "skeletons_of"]

JOINTS = {each.joints for each in LAYOUTS.values()}
NTU = 25
NAMES = ("x", "xy", "xyz", "joints", "keypoints", "data")
ACCEPTED = (
    "(N, C, T, V, M), (N, M, T, V, C), (N, T, V, C) or (N, T, M * 25 * 3), of C coordinates, T times, V joints and M "
    f"persons, C being 2 or 3 and V {', '.join(map(str, sorted(JOINTS)))}"
)


def arranged(array: np.ndarray, where: str) -> np.ndarray:
    """(N, C, T, V, M) of what a file holds, without copying it.

    Where two orders would fit, as in (N, 2, T, V, 3), two persons in space are meant, not three in the plane.

    Raises:
        ValueError: its axes are those of no known order; the message begins with ``where``.
    """
    shape = array.shape
    if array.dtype.kind in "iuf":
        first = len(shape) == 5 and shape[1] in (2, 3) and (shape[1], shape[4]) != (2, 3)
        if first and shape[3] in JOINTS:
            return array
        if len(shape) == 5 and shape[4] in (2, 3) and shape[3] in JOINTS:
            return array.transpose(0, 4, 2, 3, 1)
        if len(shape) == 4 and shape[3] in (2, 3) and shape[2] in JOINTS:
            return array.transpose(0, 3, 1, 2)[..., None]
        if len(shape) == 3 and shape[2] in (3 * NTU, 6 * NTU):
            return array.reshape(*shape[:2], -1, NTU, 3).transpose(0, 4, 1, 3, 2)
    raise ValueError(f"{where} has shape {shape} of {array.dtype}; skeletons are {ACCEPTED}")


def skeletons_of(arrays: Mapping[str, np.ndarray], name: str, **options: Any) -> SkeletonSet:
    """The skeletons of an archive: ``x`` and perhaps ``y``; or of ``train`` and ``test``, before or behind the names.

    Sequences of unequal lengths are one array (frames, V, C), with ``off`` (N + 1,): sequence i is
    ``x[off[i]:off[i + 1]]``.

    Raises:
        ValueError: no such array, or one of another shape.
    """
    train, test = _set(arrays, "train", name, **options), None
    if train is None:
        train = _set(arrays, "", name, **options)
    else:
        test = _set(arrays, "test", f"{name} test", **options)
    if train is None:
        held = ", ".join(f"{each} {array.shape}" for each, array in arrays.items())
        raise ValueError(f"{name} holds {held or 'nothing'}; expected x or train_x, skeletons {ACCEPTED}")
    train.test = test
    return train


def _set(arrays: Mapping[str, np.ndarray], part: str, name: str, **options: Any) -> SkeletonSet | None:
    found = _part(arrays, part)
    if found is None:
        return None
    array, offsets = found
    labels = one_label(_named(arrays, part, ("y", "label", "labels")), f"the labels of {name}")
    if labels is not None and labels.dtype.kind in "iu" and "classes" in arrays:
        classes = arrays["classes"]
        inside = (labels >= 0).all() and (labels < len(classes)).all()
        labels = classes[labels] if inside else labels
    if offsets is None:
        return SkeletonSet(arranged(array, name), labels, name=name, **options)
    if offsets.dtype.kind not in "iu" or offsets[0] != 0 or offsets[-1] != len(array) or (np.diff(offsets) < 0).any():
        raise ValueError(f"the offsets of {name} must rise from 0 to its {len(array)} frames, got {offsets[:4]} ...")
    one = [arranged(array[None, a:b], name)[0] for a, b in zip(offsets, offsets[1:], strict=False)]
    return SkeletonSet(one, labels, name=name, **options)


def _part(arrays: Mapping[str, np.ndarray], part: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    array = _named(arrays, part, NAMES)
    return None if array is None else (array, _named(arrays, part, ("off", "offsets")))


def _named(arrays: Mapping[str, np.ndarray], part: str, names: tuple[str, ...]) -> np.ndarray | None:
    for name in names:
        for key in (f"{part}_{name}", f"{name}_{part}") if part else (name,):
            if key in arrays:
                return arrays[key]
    return None
