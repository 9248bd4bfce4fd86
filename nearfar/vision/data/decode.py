"""Picture files as pixels, whatever they hold; files that are no pictures as a sentence that says why.

Formats are told by content, never by name, and only those in :data:`FORMATS` are tried: others that PIL knows would
start programs (PostScript) or fetch parts from elsewhere.
"""

from __future__ import annotations

import errno
import gzip
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

from nearfar.common.extras import needed
from nearfar.vision.data.deep import AS_THEY_ARE, Shown
from nearfar.vision.data.scans import dicom, is_dicom, is_tiff, tiff, tiff_facts

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(("AVIF",) if features.check("avif") else ()))
# PIL's own limit, 268 MB as RGB: a file of a few kilobytes can claim any size.
MAX_PIXELS = 89_478_485
MAX_UNPACKED = 8 * MAX_PIXELS
HEAD = 132  # bytes that tell a format
GZIP = b"\x1f\x8b"
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
ORIENTATION = 0x0112  # the EXIF tag
JPEG_END, PNG_END, GIF_END = b"\xff\xd9", b"IEND\xaeB`\x82", b";"
# What PIL writes into its messages and people need not read: memory addresses and names of memory files.
OBJECT = re.compile(r"<_io\.\w+[^>]*>")
REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
REDUCED |= {8: cv2.IMREAD_REDUCED_COLOR_8}


class PictureError(ValueError):
    """A file that cannot be read as a picture; the message is the reason, without the file's name."""


def decode(
    source: Path | str | bytes, least: int | None = None, most: int | None = None, shown: Shown = AS_THEY_ARE
) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB: upright (EXIF), transparency over white, deeper ones by ``shown``, first frame,
    first page.

    Args:
        source: a file's path, or its content; packed by gzip or not.
        least: the picture may be halved for as long as its shorter side stays at least this; JPEG files are then
            decoded at that size, in less time. ``None`` for the full size.
        most: the picture is halved until its longer side is at most this, for as long as the shorter one stays at
            half of ``least``.
        shown: the window and the bands of pictures that are not three colours of 8 bits.

    Raises:
        PictureError: no picture, a damaged one, or one of more than :data:`MAX_PIXELS` pixels.
    """
    with _reasons():
        content = unpacked(source if isinstance(source, bytes) else _content(source))
        scanned = _of_scanners(content, shown)
        if scanned is not None:
            factor = reduction(scanned.shape[0], scanned.shape[1], least, most)
            return scanned if factor == 1 else np.asarray(Image.fromarray(scanned).reduce(factor))
    with _reasons(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check_size(image)
        factor = reduction(image.height, image.width, least, most)
        at_once = min(factor, max(REDUCED))
        pixels = _jpeg(content, image, at_once) if image.format in ("JPEG", "MPO") else None
        if pixels is None:
            at_once = 1
            deep = _deep_colour(content, image, shown)
            if deep is None:
                image.load()  # which turns TIFF files upright, and says so in their EXIF data
                pixels = to_rgb(image, shown)
            else:
                pixels = deep
        if factor > at_once:
            pixels = np.asarray(Image.fromarray(pixels).reduce(factor // at_once))
        return upright(pixels, _orientation(image))


def why_unreadable(source: Path | str | bytes, shown: Shown = AS_THEY_ARE) -> str:
    """Why a file, or the content of one, cannot be read as a picture, by its kind, header, size and end; empty where
    nothing is wrong.

    Reads a few kilobytes. Where the end is not that of a whole file, and in formats without one, the file is
    decoded. What it does not find is damage inside a file whose end is there.
    """
    try:
        with _reasons(), _opened(source) as file:
            head = file.read(HEAD)
            whole = not (is_dicom(head) or is_heic(head) or is_tiff(head) or head.startswith(GZIP))
            if whole:
                file.seek(0)
                with Image.open(file, formats=FORMATS) as image:
                    _check_size(image)
                    kind, size = image.format or "", file.seek(0, os.SEEK_END)
                    file.seek(max(size - 1024, 0))
                    whole = _looks_whole(kind, head[:12], file.read(), size)
        if not whole:
            decode(source, shown=shown)
    except PictureError as error:
        return str(error)
    return ""


def unpacked(content: bytes) -> bytes:
    """What gzip packed, up to :data:`MAX_UNPACKED` bytes; other content as it is."""
    if not content.startswith(GZIP):
        return content
    with gzip.open(io.BytesIO(content)) as file:
        found = file.read(MAX_UNPACKED + 1)
    if len(found) > MAX_UNPACKED:
        raise PictureError(f"packed by gzip it holds more than {MAX_UNPACKED:,} bytes; up to that many are read")
    return found


def reduction(height: int, width: int, least: int | None, most: int | None) -> int:
    """The power of two by which :func:`decode` reduces a picture of this size."""
    factor = 1
    while least and min(height, width) >= 2 * factor * least:
        factor *= 2
    while least and most and max(height, width) > factor * most and min(height, width) >= factor * least:
        factor *= 2
    return factor


def to_rgb(image: Image.Image, shown: Shown = AS_THEY_ARE) -> np.ndarray:
    """Any mode of picture as (H, W, 3) uint8 RGB, transparency over white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = shown.bytes_of(np.asarray(image), whole=image.mode != "F")
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _deep_colour(content: bytes, image: Image.Image, shown: Shown) -> np.ndarray | None:
    """Colours of 16 bits, which PIL cuts to their upper 8 or does not read; ``None`` for other pictures."""
    if image.format != "PNG" or not (len(content) > 25 and content[24] == 16 and content[25] in (2, 6)):
        return None
    return _by_opencv(content, shown)


def _by_opencv(content: bytes, shown: Shown) -> np.ndarray | None:
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim != 3 or found.dtype != np.uint16 or found.shape[2] not in (3, 4):
        return None
    order = [2, 1, 0, 3][: found.shape[2]]
    return shown.colours(found[..., order], alpha=found.shape[2] == 4)


def _of_scanners(content: bytes, shown: Shown) -> np.ndarray | None:
    """Pictures that PIL does not read as they are meant, upright; ``None`` for others."""
    if is_dicom(content):
        return dicom(content, shown, MAX_PIXELS)
    if is_heic(content):
        return _heic(content)
    if not is_tiff(content):
        return None
    facts = tiff_facts(content)
    if facts.plain and shown.bands is None:
        return None
    if facts.width * facts.height > MAX_PIXELS or facts.width * facts.height * facts.bands > 4 * MAX_PIXELS:
        raise PictureError(
            f"it claims {facts.width} x {facts.height} pixels of {facts.bands} bands; up to {MAX_PIXELS:,} are read"
        )
    simple = facts.kind == 1 and facts.bits == 16 and facts.bands in (3, 4) and not facts.apart
    pixels = _by_opencv(content, shown) if simple and facts.bands == 3 + facts.alpha else None
    return tiff(content, facts, shown) if pixels is None else pixels


def is_heic(content: bytes) -> bool:
    """Whether a file begins as HEIF of HEVC pictures do, which telephones make."""
    return content[4:8] == b"ftyp" and content[8:12] in HEIC


def _heic(content: bytes) -> np.ndarray:
    pillow_heif = needed("pillow_heif", "heic", "a HEIC picture")
    found = pillow_heif.open_heif(io.BytesIO(content))  # turned as the file says
    if found.size[0] * found.size[1] > MAX_PIXELS:
        raise PictureError(f"it claims {found.size[0]} x {found.size[1]} pixels; up to {MAX_PIXELS:,} are read")
    return to_rgb(found.to_pillow())


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


def square(source: Path | str | bytes, size: int, shown: Shown = AS_THEY_ARE) -> np.ndarray:
    """A picture's central square at ``size``; it is decoded at not less than twice that where it is larger."""
    return to_square(decode(source, least=2 * size, shown=shown), size)


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
