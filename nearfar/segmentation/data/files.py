"""Pictures and label maps in files: how they are read, and what makes one unusable.

Training and ``nearfar data check`` read through the same functions, so a damaged file is described by the same
sentence in both.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from nearfar.segmentation.classes import IGNORE
from nearfar.vision.data.decode import decode

Pixels = npt.NDArray[np.uint8]


class BadFile(ValueError):
    """A file that cannot be used as it is.

    Attributes:
        file: which one.
        found: what is wrong with it.
        expected: what would be right.
    """

    def __init__(self, file: Path | str, found: str, expected: str) -> None:
        super().__init__(f"{file} {found}; expected {expected}")
        self.file, self.found, self.expected = str(file), found, expected


def read_picture(path: Path) -> Pixels:
    """A picture of any mode as (H, W, 3) RGB. Raises :class:`BadFile`."""
    _must_exist(path, "a picture")
    try:
        return decode(path)
    except Exception as error:  # decoders raise anything on hostile bytes
        raise BadFile(path, f"cannot be decoded ({_reason(error)})", "a whole picture") from error


def read_label(path: Path) -> Pixels:
    """A label map (H, W): the numbers in a PNG of one channel.

    Of a palette picture the indices count, not the colours. 16 bits are accepted when no value is above 255.
    Raises :class:`BadFile`.
    """
    _must_exist(path, "a label map")
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except Exception as error:
        raise BadFile(path, f"cannot be decoded ({_reason(error)})", "a whole label map, PNG of one channel") from error
    if values.ndim != 2 or mode == "F":
        raise BadFile(path, f"is a picture of mode {mode}", "one channel of class numbers (8-bit grey or palette)")
    if mode == "L":
        return values // _GREY_STEP.get(_grey_bits(path), 1)
    if values.size and values.max() > IGNORE:
        raise BadFile(path, f"holds values up to {values.max()}", "class numbers within 0..255")
    return values.astype(np.uint8)


# Decoders stretch grey of 2 and 4 bits to 0..255; dividing by the step gives the stored numbers back.
_GREY_STEP = {2: 85, 4: 17}


def _grey_bits(path: Path) -> int:
    """Bits per value as a PNG's header states them; 8 for anything else."""
    with open(path, "rb") as file:
        header = file.read(25)
    return header[24] if header[:4] == b"\x89PNG" else 8


def check_values(path: Path, label: Pixels, known: npt.NDArray[np.bool_], numbering: str) -> None:
    """Raise :class:`BadFile` when a label map holds a number for which ``known`` (256,) is false."""
    present = np.bincount(label.ravel(), minlength=256)
    unknown = np.flatnonzero((present > 0) & ~known)
    if len(unknown):
        named = ", ".join(f"{value} ({present[value]} pixels)" for value in unknown[:8])
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        raise BadFile(path, f"holds unknown class numbers {named}{more}", f"those of {numbering}, or {IGNORE}")


def check_shape(path: Path, shape: tuple[int, ...], expected: tuple[int, ...], of: str) -> None:
    """Raise :class:`BadFile` when (height, width) differ."""
    if shape[:2] != expected[:2]:
        raise BadFile(
            path, f"is {shape[1]} x {shape[0]} pixels", f"{expected[1]} x {expected[0]} (width x height), as {of}"
        )


def resize_picture(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Bring (H, W, 3) to (height, width): the mean over areas when it shrinks, bilinear otherwise."""
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] > size[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)


def resize_label(label: Pixels, size: tuple[int, int]) -> Pixels:
    """Bring (H, W) to (height, width) by the label at the centre of each new pixel."""
    if label.shape == size:
        return label
    # The plain INTER_NEAREST looks at corners and would shift labels against pictures by up to half a pixel.
    return np.asarray(cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _must_exist(path: Path, what: str) -> None:
    if not path.is_file():
        raise BadFile(path, "is missing", what)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
