"""Pictures that lie encoded somewhere, in files or inside of them, and are decoded when they are needed."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from nearfar.sources.skipped import BadDataError, Skipped, plain
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, decode, square
from nearfar.vision.data.deep import AS_THEY_ARE, Shown
from nearfar.vision.method import ImageBatch

__all__ = ["EncodedPictures"]

# Random crops come from pictures whose shorter side is from 9/8 to 9/4 of ``size`` where the file has as many
# pixels. Powers of two are enough to get there, which JPEG decodes at once; 224 keeps ImageNet's usual 500 x 375.
LEAST = 9 / 8
# Longest side of these, as a multiple of ``size``: one panorama must not widen its whole batch. Those longer than
# three times their height may lose the ends.
MOST = 27 / 8


class EncodedPictures(Data):
    """Pictures of any size and mode, decoded when they are needed.

    A picture that turns out to be unreadable is listed in :attr:`skipped`. In training the next readable one that is
    not in the batch then stands in; embedding leaves the row out.

    Attributes:
        size: side of the squares, and of views whose recipe names no size, in pixels.
        shown: the window and the bands of pictures that are not three colours of 8 bits.
        skipped: what was left out, and why.
    """

    gives = ImageBatch

    size: int
    shown: Shown = AS_THEY_ARE
    skipped: Skipped

    @abc.abstractmethod
    def encoded(self, row: int) -> str | bytes:
        """A picture's file, or the content of one.

        Raises:
            PictureError: it cannot be had.
        """

    @abc.abstractmethod
    def place(self, row: int) -> str:
        """Where a picture is, for people."""

    def batch(self, indices: np.ndarray) -> ImageBatch:
        """Central squares (N, 3, size, size)."""
        pixels, rows = self._read(indices, lambda source: square(source, self.size, self.shown))
        return ImageBatch(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), torch.from_numpy(rows))

    def training_batch(self, indices: np.ndarray) -> ImageBatch:
        """Whole pictures in the upper left corners of (N, 3, H, W), with the ``sizes`` (N, 2) that they fill."""
        least, most = max(round(LEAST * self.size), 1), max(round(MOST * self.size), 1)
        pictures, rows = self._read(indices, lambda source: _middle(decode(source, least, most, self.shown), most))
        sizes = np.array([picture.shape[:2] for picture in pictures])
        pixels = np.zeros((len(pictures), *sizes.max(0), 3), np.uint8)
        for canvas, picture in zip(pixels, pictures, strict=True):
            canvas[: picture.shape[0], : picture.shape[1]] = picture
        whole = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return ImageBatch(whole, torch.from_numpy(rows), torch.from_numpy(sizes), self.size)

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return np.array([plain(self.place(int(row))) not in self.skipped for row in rows], dtype=bool)

    def _read(
        self, indices: np.ndarray, read: Callable[[str | bytes], np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Pictures, and the positions they are of: another's where a file turns out to be unreadable."""
        wanted = [int(i) for i in indices]
        threads = min(torch.get_num_threads(), len(wanted))

        def attempt(row: int) -> np.ndarray | PictureError:
            try:
                return read(self.encoded(row))
            except PictureError as error:
                return error

        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(attempt, wanted))
        else:
            found = [attempt(row) for row in wanted]
        pictures, rows, taken = [], [], set(wanted)
        for row, picture in zip(wanted, found, strict=True):
            candidates = self._instead_of(row, taken)
            while isinstance(picture, PictureError):
                self.skipped.add(self.place(row), str(picture))
                row = next(candidates)
                picture = attempt(row)
            taken.add(row)
            pictures.append(picture)
            rows.append(row)
        return pictures, np.array(rows, dtype=np.int64)

    def _instead_of(self, row: int, taken: set[int]) -> Iterator[int]:
        """The examples after ``row``, first those that are not in the batch. What is readable is a property of the
        files, so every process comes to the same one."""
        for again in (False, True):
            after = ((row + step) % len(self) for step in range(1, len(self)))
            yield from (other for other in after if (other in taken) == again)
        raise BadDataError(f"{self.name} holds no readable picture any more")


def _middle(picture: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` rows and columns of a picture."""
    top, left = (max(side - most, 0) // 2 for side in picture.shape[:2])
    return picture[top : top + most, left : left + most]
