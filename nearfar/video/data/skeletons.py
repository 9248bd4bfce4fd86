"""Skeletons that move, as a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.training import Data
from nearfar.video.data.layouts import LAYOUTS, Layout

__all__ = ["SkeletonBatch", "SkeletonSet", "resampled"]

FRAMES = 50


class SkeletonBatch(NamedTuple):
    """A batch of moving skeletons.

    Attributes:
        joints: (B, C, T, V, M) float32: C coordinates of V joints of M persons at T times, zeros where nobody is.
        rows: (B,) int64, positions in the collection.
    """

    joints: Tensor
    rows: Tensor


class SkeletonSet(Data):
    """Moving skeletons of one layout, of any lengths.

    A sequence ends with its last frame that is not all zero, is brought to one length by linear interpolation, and
    starts with the central joint of its first person at the origin.

    Args:
        sequences: arrays (C, T, V, M): 2 or 3 coordinates, V joints of a known layout, M persons; missing persons and
            frames are zeros. May be the rows of one array, also of one mapped from a file.
        labels: one per sequence, or ``None``.
        ids: one per sequence; their numbers otherwise.
        frames: T of every batch, at least 2.
        centred: whether to move the origin; without it coordinates stay as they are.
        name: what to call the collection.
        test: held-out skeletons.
        strict: stop at the first sequence that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of sequences that may be unusable, in [0, 1]; more stop the run.

    Raises:
        ValueError: no sequence; shapes that differ or that are no skeletons; labels that do not fit.
    """

    gives = SkeletonBatch

    def __init__(
        self,
        sequences: Sequence[np.ndarray] | np.ndarray,
        labels: np.ndarray | None = None,
        *,
        ids: np.ndarray | None = None,
        frames: int = FRAMES,
        centred: bool = True,
        name: str = "skeletons",
        test: SkeletonSet | None = None,
        strict: bool = False,
        max_bad: float = 0.1,
    ) -> None:
        if frames < 2:
            raise ValueError(f"frames must be at least 2, got {frames}")
        if len(sequences) == 0:
            raise ValueError(f"{name} holds no sequences")
        if labels is not None and len(labels) != len(sequences):
            raise ValueError(f"{name} has {len(labels)} labels for {len(sequences)} sequences")
        self.coordinates, self.layout, self.persons = _shape_of(sequences, name)
        self.skipped = Skipped(len(sequences), strict=strict, max_bad=max_bad, kind="sequences")
        bad = {row: reason for row, each in enumerate(sequences) if (reason := _why_not(each))}
        self.skipped.set_aside([(f"sequence {row}", reason) for row, reason in bad.items()], name)
        self.kept = np.array([row for row in range(len(sequences)) if row not in bad], dtype=np.int64)
        if not len(self.kept):
            raise ValueError(f"{name} holds no sequence with a person in it")
        self.sequences = sequences
        self.labels = None if labels is None else np.asarray(labels)[self.kept]
        self._ids = (np.arange(len(sequences)) if ids is None else np.asarray(ids))[self.kept]
        self.frames, self.centred, self.name, self.test = frames, centred, name, test

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"layout": self.layout.name, "coordinates": self.coordinates}

    def splits(self) -> Mapping[str, Data]:
        return {} if self.test is None else {"test": self.test}

    def contents(self) -> Mapping[str, str]:
        if isinstance(self.sequences, np.memmap):
            return super().contents()
        return {"sequences": digest_of(self.sequences), "labels": digest_of(self.labels)}

    def batch(self, indices: np.ndarray) -> SkeletonBatch:
        found = np.stack([self._sequence(row) for row in self.kept[indices]])
        return SkeletonBatch(torch.from_numpy(found), torch.from_numpy(np.asarray(indices, dtype=np.int64)))

    def _sequence(self, row: int) -> np.ndarray:
        """(C, T, V, M) float32 as a batch has it."""
        found = resampled(trimmed(np.asarray(self.sequences[row], dtype=np.float32)), self.frames)
        if self.centred:
            there = np.abs(found).max((0, 2), keepdims=True) > 0  # of every person at every time
            found = np.where(there, found - found[:, :1, self.layout.centre, None, :1], 0.0)
        return np.ascontiguousarray(found, dtype=np.float32)


def trimmed(sequence: np.ndarray) -> np.ndarray:
    """Without the frames of zeros at its end."""
    there = np.flatnonzero(np.abs(sequence).max((0, 2, 3)))
    return sequence[:, : there[-1] + 1]


def resampled(sequence: np.ndarray, frames: int) -> np.ndarray:
    """(C, T, V, M) at ``frames`` times spread evenly over its length."""
    length = sequence.shape[1]
    if length == frames:
        return sequence
    place = np.linspace(0, length - 1, frames)
    before = np.floor(place).astype(np.int64)
    after = np.minimum(before + 1, length - 1)
    share = (place - before).astype(sequence.dtype)[:, None, None]
    return sequence[:, before] * (1 - share) + sequence[:, after] * share


def _shape_of(sequences: Sequence[np.ndarray] | np.ndarray, name: str) -> tuple[int, Layout, int]:
    """Coordinates, layout and persons that all sequences have."""
    known = {each.joints: each for each in LAYOUTS.values()}
    shapes = {np.shape(each)[:1] + np.shape(each)[2:] for each in sequences}
    if len(shapes) > 1:
        raise ValueError(
            f"the sequences of {name} must have one number of coordinates, joints and persons; got {shapes}"
        )
    (shape,) = shapes
    if len(shape) != 3 or shape[0] not in (2, 3) or shape[1] not in known:
        joints = ", ".join(f"{count} ({each.name})" for count, each in sorted(known.items()))
        raise ValueError(
            "sequences of skeletons have shape (C, T, V, M), 2 or 3 coordinates at T times of V joints of M persons, "
            f"V being {joints}; {name} has {np.shape(sequences[0])}"
        )
    return shape[0], known[shape[1]], shape[2]


def _why_not(sequence: np.ndarray) -> str:
    """Why a sequence cannot be used; empty when it can."""
    if sequence.dtype.kind not in "iuf":
        return f"it holds {sequence.dtype}, not numbers"
    if sequence.size == 0:
        return "it has no frames"
    if not np.isfinite(sequence).all():
        return "it holds NaN or infinite coordinates"
    return "" if sequence.any() else "all coordinates are 0: nobody is in it"
