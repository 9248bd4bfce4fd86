"""Picture files as pixels, whatever they hold; files that are no pictures as a sentence that says why.

Formats are told by content, never by name, and only those in :data:`FORMATS` are tried: others that PIL knows would
start programs (PostScript) or fetch parts from elsewhere.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError, features

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(("AVIF",) if features.check("avif") else ()))
# PIL's own limit, 268 MB as RGB: a file of a few kilobytes can claim any size.
MAX_PIXELS = 89_478_485
ORIENTATION = 0x0112  # the EXIF tag
JPEG_END, PNG_END, GIF_END = b"\xff\xd9", b"IEND\xaeB`\x82", b";"
# What PIL writes into its messages and people need not read: memory addresses and names of memory files.
OBJECT = re.compile(r"<_io\.\w+[^>]*>")
REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
REDUCED |= {8: cv2.IMREAD_REDUCED_COLOR_8}


class PictureError(ValueError):
    """A file that cannot be read as a picture; the message is the reason, without the file's name."""


def decode(source: Path | str | bytes, least: int | None = None, most: int | None = None) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB: upright (EXIF), transparency over white, deeper ones by :func:`to_bytes`,
    first frame, first page.

    Args:
        source: a file's path, or its content.
        least: the picture may be halved for as long as its shorter side stays at least this; JPEG files are then
            decoded at that size, in less time. ``None`` for the full size.
        most: the picture is halved until its longer side is at most this, for as long as the shorter one stays at
            half of ``least``.

    Raises:
        PictureError: no picture, a damaged one, or one of more than :data:`MAX_PIXELS` pixels.
    """
    content = source if isinstance(source, bytes) else _content(source)
    with _reasons(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check_size(image)
        factor = reduction(image.height, image.width, least, most)
        at_once = min(factor, max(REDUCED))
        pixels = _jpeg(content, image, at_once) if image.format in ("JPEG", "MPO") else None
        if pixels is None:
            at_once = 1
            deep = _deep_colour(content, image)
            if deep is None:
                image.load()  # which turns TIFF files upright, and says so in their EXIF data
                pixels = to_rgb(image)
            else:
                pixels = deep
        if factor > at_once:
            pixels = np.asarray(Image.fromarray(pixels).reduce(factor // at_once))
        return upright(pixels, _orientation(image))


def why_unreadable(source: Path | str | bytes) -> str:
    """Why a file, or the content of one, cannot be read as a picture, by its kind, header, size and end; empty where
    nothing is wrong.

    Reads a few kilobytes. Where the end is not that of a whole file, and in formats without one, the file is
    decoded. What it does not find is damage inside a file whose end is there.
    """
    try:
        with _reasons(), _opened(source) as file, Image.open(file, formats=FORMATS) as image:
            _check_size(image)
            kind, size = image.format or "", file.seek(0, os.SEEK_END)
            file.seek(max(size - 1024, 0))
            end = file.read()
            file.seek(0)
            whole = _looks_whole(kind, file.read(12), end, size)
        if not whole:
            decode(source)
    except PictureError as error:
        return str(error)
    return ""


def reduction(height: int, width: int, least: int | None, most: int | None) -> int:
    """The power of two by which :func:`decode` reduces a picture of this size."""
    factor = 1
    while least and min(height, width) >= 2 * factor * least:
        factor *= 2
    while least and most and max(height, width) > factor * most and min(height, width) >= factor * least:
        factor *= 2
    return factor


def to_rgb(image: Image.Image) -> np.ndarray:
    """Any mode of picture as (H, W, 3) uint8 RGB, transparency over white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = to_bytes(np.asarray(image), whole=image.mode != "F")
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def to_bytes(values: np.ndarray, *, whole: bool) -> np.ndarray:
    """Values of more than 8 bits as uint8 in [0, 255], by a rule that looks at one file's largest value.

    Whole numbers from 0 are divided by 4,095 where none is larger (scans and cameras of 12 bits in files of 16), by
    65,535 where none is larger than that, and by the largest else. Fractions from 0 are divided by 1, or by the largest
    where that is more. Where a value is below 0 (Hounsfield units, elevations), the file's own range from the smallest
    to the largest becomes 0 to 255. What is no number counts as 0.
    """
    values = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if low < 0:
        return np.clip((values - low) / max(high - low, 1e-300) * 255.0, 0, 255).astype(np.uint8)
    steps = (4095.0, 65535.0) if whole else (1.0,)
    top = next((step for step in steps if high <= step), high)
    return np.clip(values / top * 255.0, 0, 255).astype(np.uint8)


def _deep_colour(content: bytes, image: Image.Image) -> np.ndarray | None:
    """Colours of 16 bits, which PIL cuts to their upper 8 or does not read; ``None`` for other pictures.

    Raises:
        PictureError: it has more than four bands, of which nothing says which are to be seen.
    """
    if image.format == "PNG":
        wanted = len(content) > 25 and content[24] == 16 and content[25] in (2, 6)
    else:
        wanted = image.format == "TIFF" and _tiff_bits(image) == 16 and image.mode not in ("I;16", "I;16B", "I", "F")
    if not wanted:
        return None
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim != 3 or found.dtype != np.uint16 or found.shape[2] not in (3, 4):
        return None
    pixels = to_bytes(found[..., 2::-1], whole=True)
    if found.shape[2] == 4:  # over white
        alpha = found[..., 3:] / 65535.0
        pixels = np.round(pixels * alpha + 255.0 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _tiff_bits(image: Image.Image) -> int:
    bits = getattr(image, "tag_v2", {}).get(258, 8)
    return int(bits[0] if isinstance(bits, tuple) else bits)


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """(H, W, 3) pixels as the EXIF orientation ``turn`` (1 to 8) says they are to be shown."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def to_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """The central square of a picture, scaled to ``size``."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    if side == size:
        return cut
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


def square(source: Path | str | bytes, size: int) -> np.ndarray:
    """A picture's central square at ``size``; it is decoded at not less than twice that where it is larger."""
    return to_square(decode(source, least=2 * size), size)


def _jpeg(content: bytes, image: Image.Image, factor: int) -> np.ndarray | None:
    """OpenCV's decoder gives PIL's pixels in less time; what it refuses PIL has words for."""
    if image.mode not in ("RGB", "L"):
        return None
    flags = REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    found = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    return None if found is None else cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def _content(path: Path | str) -> bytes:
    with _reasons(), _open(path) as file:
        return file.read()


def _opened(source: Path | str | bytes) -> IO[bytes]:
    if not isinstance(source, bytes):
        return _open(source)
    if not source:
        raise PictureError("it is empty")
    return io.BytesIO(source)


def _open(path: Path | str) -> IO[bytes]:
    """An ordinary file for reading; pipes, sockets and devices, which may never answer, are refused unopened."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise PictureError("it is no ordinary file")
    if found.st_size == 0:
        raise PictureError("it is empty")
    return open(path, "rb")


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"it claims {image.width} x {image.height} pixels; up to {MAX_PIXELS:,} are read")


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data around a good picture
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _looks_whole(kind: str, start: bytes, end: bytes, size: int) -> bool:
    if kind in ("JPEG", "MPO"):
        return end.rstrip(b"\0").endswith(JPEG_END)
    if kind == "PNG":
        return end.endswith(PNG_END)
    if kind == "GIF":
        return end.endswith(GIF_END)
    return kind == "WEBP" and int.from_bytes(start[4:8], "little") + 8 <= size


@contextmanager
def _reasons() -> Iterator[None]:
    """Whatever a decoder raises on hostile bytes, as a :class:`PictureError` with a plain reason."""
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise PictureError(f"it is none of {', '.join(FORMATS)}, or its beginning is damaged") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"it claims more than the {MAX_PIXELS:,} pixels that are read") from error
    except OSError as error:
        known = {errno.ENOENT: "the link leads nowhere, or the file is gone", errno.ELOOP: "the link leads to itself"}
        reason = known.get(error.errno or 0) or error.strerror or OBJECT.sub("it", str(error))
        raise PictureError(reason) from error
    except Exception as error:
        raise PictureError(OBJECT.sub("it", str(error)) or type(error).__name__) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without PIL's warnings about what is refused or mended here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
