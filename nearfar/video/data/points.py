"""Videos of points (depth cameras, lidar) as collections in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.labels import one_label
from nearfar.sources.skipped import Skipped
from nearfar.training import Data

__all__ = ["PointBatch", "PointSet", "points_of"]


class PointBatch(NamedTuple):
    """A batch of videos of points.

    Attributes:
        points: (B, T, P, 3) float32; there is no order among the points of a time.
        rows: (B,) int64, positions in the collection.
    """

    points: Tensor
    rows: Tensor


class PointSet(Data):
    """Videos of points, moved and scaled so that each one's mean is 0 and nothing of it is farther away than 1.

    Args:
        points: (N, T, P, 3), T at least 2 and P at least 8; other axes or units do not matter.
        labels: one per video, or ``None``.
        parts: (N, T, P) integers, what every point belongs to, where it is known.
        name: what to call the collection.
        test: held-out videos.
        strict: the first video with NaN or infinite numbers is an error instead of being left out.
        max_bad: largest share of such videos, in [0, 1]; more are an error.

    Raises:
        ValueError: an array of another kind, or labels or parts that are not one for each.
        BadDataError: ``strict`` or ``max_bad`` does not allow what was found.
    """

    gives = PointBatch

    def __init__(
        self,
        points: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        parts: np.ndarray | None = None,
        name: str = "points",
        test: PointSet | None = None,
        strict: bool = False,
        max_bad: float = 0.1,
    ) -> None:
        shape = np.shape(points)
        if len(shape) != 4 or shape[3] != 3 or points.dtype.kind not in "iuf" or shape[1] < 2 or shape[2] < 8:
            raise ValueError(
                f"{name} must be numbers (N, T, P, 3) with at least 2 times of 8 points, got {shape} of {points.dtype}"
            )
        if labels is not None and len(labels) != len(points):
            raise ValueError(f"{name} has {len(labels)} labels for {len(points)} videos")
        if parts is not None and parts.shape != shape[:3]:
            raise ValueError(f"parts of {name} must have shape {shape[:3]}, got {parts.shape}")
        self.skipped = Skipped(len(points), strict=strict, max_bad=max_bad, kind="videos")
        fine = np.array([bool(np.isfinite(each).all()) for each in points], dtype=bool)
        bad = [(f"video {row}", "it holds NaN or infinite coordinates") for row in np.flatnonzero(~fine)]
        self.skipped.set_aside(bad, name)
        self.kept = np.flatnonzero(fine)
        if not len(self.kept):
            raise ValueError(f"{name} holds no video of finite numbers")
        self.points, self.name, self.test = points, name, test
        self.labels = None if labels is None else np.asarray(labels)[self.kept]
        self.parts = None if parts is None else parts[self.kept]

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def ids(self) -> np.ndarray:
        return self.kept

    def splits(self) -> Mapping[str, Data]:
        return {} if self.test is None else {"test": self.test}

    def contents(self) -> Mapping[str, str]:
        if isinstance(self.points, np.memmap):
            return super().contents()
        return {"points": digest_of(self.points, self.labels)}

    def batch(self, indices: np.ndarray) -> PointBatch:
        found = np.asarray(self.points[self.kept[np.asarray(indices)]], dtype=np.float32)
        found = found - found.mean((1, 2), keepdims=True)
        far = np.sqrt(np.square(found).sum(3)).max((1, 2))[:, None, None, None]
        return PointBatch(
            torch.from_numpy(found / np.maximum(far, 1e-12)), torch.from_numpy(np.asarray(indices, dtype=np.int64))
        )


def points_of(arrays: Mapping[str, np.ndarray], name: str, **options: Any) -> PointSet | None:
    """The videos of an archive with ``points`` and perhaps ``y``, or ``train_points``, ``train_y``, ``test_points`` ...

    ``None`` where there is no such array.
    """

    def part(prefix: str, called: str, **more: Any) -> PointSet | None:
        points = arrays.get(f"{prefix}points")
        labels = one_label(arrays.get(f"{prefix}y"), f"the labels of {called}")
        return None if points is None else PointSet(points, labels, name=called, **options, **more)

    if "points" in arrays:
        return part("", name)
    return part("train_", name, test=part("test_", f"{name} test"))
