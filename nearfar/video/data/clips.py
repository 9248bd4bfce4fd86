"""Videos as collections: in memory, or in files and folders of frames that are decoded when they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.fingerprint import digest_of, file_contents
from nearfar.sources.skipped import BadDataError, Skipped, plain
from nearfar.training import Data
from nearfar.video.data.decode import VideoError, check, frames_of

__all__ = ["ClipBatch", "VideoArray", "VideoFiles"]

# Bytes of decoded videos that are kept.
KEPT = 2**30


class ClipBatch(NamedTuple):
    """A batch of videos.

    Attributes:
        frames: (B, T, H, W, 3) uint8.
        rows: (B,) int64, positions in the collection.
    """

    frames: Tensor
    rows: Tensor


class VideoArray(Data):
    """Videos in memory.

    Args:
        videos: (N, T, H, W, 3) uint8, also of one mapped from a file.
        labels: one per video, or ``None``.
        name: what to call the collection.
        test: held-out videos.
        factors: known factors of generated videos, one value for each, by name.

    Raises:
        ValueError: an array of another kind, or labels that are not one for each.
    """

    gives = ClipBatch

    def __init__(
        self,
        videos: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        name: str = "videos",
        test: Data | None = None,
        factors: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if videos.ndim != 5 or videos.shape[-1] != 3 or videos.dtype != np.uint8 or 0 in videos.shape:
            raise ValueError(f"{name} must be (N, T, H, W, 3) uint8, got {videos.shape} of {videos.dtype}")
        if labels is not None and len(labels) != len(videos):
            raise ValueError(f"{name} has {len(labels)} labels for {len(videos)} videos")
        self.videos, self.name, self.test = videos, name, test
        self.labels = None if labels is None else np.asarray(labels)
        self.factors = dict(factors or {})

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"rows": len(self)}

    def splits(self) -> Mapping[str, Data]:
        return {} if self.test is None else {"test": self.test}

    def contents(self) -> Mapping[str, str]:
        if isinstance(self.videos, np.memmap):
            return super().contents()
        return {"videos": digest_of(self.videos, self.labels)}

    def batch(self, indices: np.ndarray) -> ClipBatch:
        frames = torch.from_numpy(np.ascontiguousarray(self.videos[np.asarray(indices)]))
        return ClipBatch(frames, torch.from_numpy(np.asarray(indices, dtype=np.int64)))


class VideoFiles(Data):
    """Files of video and folders of frames, each brought to so many frames of one size when it is needed.

    The frames are spread evenly over a video (a short one shows some twice), and of each the central square is kept, at
    ``size``. Decoded videos are kept while they fit in a gigabyte.

    **Unreadable videos.** The header of every file is looked at when the collection is made, and what is no video is
    left out. Damage that is found later takes the video out from then on: the next one stands in for it in training,
    and embedding leaves its row out.

    Args:
        paths: files and folders of frames.
        names: what to call them, their ``ids``.
        labels: one for each, or ``None``.
        frames: T, at least 2.
        size: side of the frames in pixels, at least 8.
        root: the folder that the names are below, for fingerprints.
        name: what to call the collection.
        splits: held-out sets by name.
        strict: the first unreadable video is an error.
        max_bad: largest share of unreadable videos, in [0, 1]; more are an error.
        folder: name of the part where several have one list of what was left out.

    Raises:
        ValueError: a number out of range, or no readable video.
        BadDataError: ``strict`` or ``max_bad`` does not allow what was found, here or while training.
    """

    gives = ClipBatch

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        names: Sequence[str],
        labels: np.ndarray | None = None,
        frames: int = 64,
        size: int = 128,
        root: Path | None = None,
        name: str = "videos",
        splits: Mapping[str, Data] | None = None,
        strict: bool = False,
        max_bad: float = 0.1,
        folder: str = "",
    ) -> None:
        if frames < 2 or size < 8:
            raise ValueError(f"frames must be at least 2 and size at least 8, got {frames} and {size}")
        wrong = {row: why for row, path in enumerate(paths) if (why := check(path))}
        good = [row for row in range(len(paths)) if row not in wrong]
        found = [(names[row], why) for row, why in wrong.items()]
        if not good:
            first = f", the first: {plain(found[0][0])}: {found[0][1]}" if found else ""
            raise ValueError(f"{name} holds no readable video: of {len(paths)} none could be used{first}")
        self.skipped = Skipped(len(paths), strict=strict, max_bad=max_bad, kind="videos", folder=folder)
        self.skipped.set_aside(found, plain(name))
        self.paths, self._names = [paths[row] for row in good], [plain(names[row]) for row in good]
        self.labels = None if labels is None else np.asarray(labels)[good]
        self.frames, self.size, self.name, self._root = frames, size, name, root
        self._splits = dict(splits or {})
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def ids(self) -> np.ndarray:
        return np.array(self._names)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"rows": len(self)}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        root = self._root or Path()
        files = [file for path in self.paths for file in ([path] if path.is_file() else sorted(path.iterdir()))]
        return file_contents(root, [os.path.relpath(file, root) for file in files if file.is_file()])

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return np.array([self._names[row] not in self.skipped for row in rows], dtype=bool)

    def batch(self, indices: np.ndarray) -> ClipBatch:
        taken = {int(row) for row in indices}
        found = [self._read(int(row), taken) for row in indices]
        rows = np.array([row for row, _ in found], dtype=np.int64)
        return ClipBatch(torch.from_numpy(np.stack([video for _, video in found])), torch.from_numpy(rows))

    def _read(self, row: int, taken: set[int]) -> tuple[int, np.ndarray]:
        """A video and its row: another's where it turns out to be unreadable."""
        for other in (row, *self._instead_of(row, taken)):
            if (kept := self._kept.get(other)) is not None:
                return other, kept
            if self._names[other] in self.skipped:
                continue
            try:
                found = frames_of(self.paths[other], self.frames, self.size)
            except VideoError as error:
                self.skipped.add(self._names[other], str(error))
                continue
            taken.add(other)
            if (len(self._kept) + 1) * found.nbytes <= KEPT:
                self._kept[other] = found
            return other, found
        raise BadDataError(f"{self.name} holds no readable video any more")

    def _instead_of(self, row: int, taken: set[int]) -> Iterator[int]:
        """The rows after ``row``, first those that are not in the batch."""
        after = [(row + step) % len(self) for step in range(1, len(self))]
        for again in (False, True):
            yield from (other for other in after if (other in taken) == again)
