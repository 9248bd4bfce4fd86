"""Files of video and folders of frames as arrays of frames; what is none as a sentence that says why.

A file is read as what its name says, and never as a playlist, which could name other files and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nearfar.common.extras import needed
from nearfar.vision.data.decode import PictureError
from nearfar.vision.data.decode import decode as decode_picture

__all__ = ["CONTAINERS", "PICTURES", "VideoError", "check", "frames_of", "pictures_in"]

CONTAINERS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov"), "mov"),
    **dict.fromkeys((".mkv", ".webm"), "matroska"),
    **dict.fromkeys((".mpg", ".mpeg"), "mpeg"),
    ".avi": "avi",
    ".gif": "gif",
}
"""Suffixes, and how such files are read."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAX_PIXELS = 89_478_485


class VideoError(ValueError):
    """What cannot be read as a video; the message is the reason, without its name."""


def pictures_in(folder: Path) -> list[Path]:
    """The frames that a folder holds, by their names; numbers in names count as numbers where all are of one form."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (len(path.stem), path.stem) if path.stem[-1:].isdigit() else (0, path.stem))


def check(path: Path) -> str:
    """Why something cannot be read as a video, by its header; empty where nothing is wrong."""
    try:
        if path.is_dir():
            if len(pictures_in(path)) < 2:
                raise VideoError("a folder of frames needs at least 2 pictures")
        else:
            with _opened(path) as container:
                _stream(container)
    except VideoError as error:
        return str(error)
    return ""


def frames_of(path: Path, count: int, size: int) -> np.ndarray:
    """(count, size, size, 3) uint8: frames spread evenly over a video, of each the central square.

    A video of any length is read in one go, and no more than four times ``count`` frames are held.

    Raises:
        VideoError: no video, or a damaged one.
    """
    held: list[np.ndarray] = []
    every = 1
    for number, frame in enumerate(_folder(path) if path.is_dir() else _file(path)):
        if number % every:
            continue
        held.append(_square(frame, size))
        if len(held) == 4 * count:
            held, every = held[::2], 2 * every
    if len(held) < 2:
        raise VideoError(f"it has {len(held)} frames; at least 2 are needed")
    return np.stack([held[place] for place in np.linspace(0, len(held) - 1, count).round().astype(int)])


def _folder(path: Path) -> Iterator[np.ndarray]:
    for picture in pictures_in(path):
        try:
            yield decode_picture(picture)
        except PictureError as error:
            raise VideoError(f"{picture.name}: {error}") from error


def _file(path: Path) -> Iterator[np.ndarray]:
    av = needed("av", "video", "Reading files of video")
    with _opened(path) as container:
        stream = _stream(container)
        try:
            for frame in container.decode(stream):
                yield frame.to_ndarray(format="rgb24")
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(f"it is damaged: {_said(error)}") from error


def _opened(path: Path) -> Any:
    av = needed("av", "video", "Reading files of video")
    try:
        return av.open(str(path), format=CONTAINERS[path.suffix.lower()], options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"it is no {path.suffix} video: {_said(error)}") from error


def _stream(container: Any) -> Any:
    if not container.streams.video:
        raise VideoError("there is no video in it")
    stream = container.streams.video[0]
    if stream.width * stream.height > MAX_PIXELS:
        raise VideoError(f"its frames claim {stream.width} x {stream.height} pixels, more than {MAX_PIXELS:,}")
    return stream


def _square(frame: np.ndarray, size: int) -> np.ndarray:
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(frame[top : top + side, left : left + side], (size, size), interpolation=how)


def _said(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).split(";")[0]
