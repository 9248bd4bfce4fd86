"""Sound files to waves: one channel, one rate, checked."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfar.common.extras import needed

__all__ = ["SUFFIXES", "SoundError", "Stretch", "at_rate", "header", "read_middle", "read_stretch", "why_no_wave"]

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf")
MAX_RATE = 768_000
MAX_CHANNELS = 64
LEAST_SECONDS = 0.01
# Below this every sample is silence: half of the least step of 16 bits.
SILENCE = 0.5 / 32768
# Decoders may tell a few frames more than there are; more are missing from a file that was cut off.
TOLERATED = 0.02


class SoundError(ValueError):
    """A file that is no sound, or a damaged one; the message says why, without its name."""


class Stretch(NamedTuple):
    """A stretch of a file: from sample ``start``, ``frames`` long, at the file's own ``rate``; perhaps all of it.

    ``content`` is what is read where there is no file.
    """

    path: str
    start: int
    frames: int
    rate: int
    whole: bool = False
    content: bytes | None = None


def _soundfile() -> Any:
    return needed("soundfile", "audio", "reading sounds")


def _opened(path: str, content: bytes | None) -> Any:
    return _soundfile().SoundFile(path if content is None else io.BytesIO(content))


def header(source: str | Path | bytes) -> Stretch:
    """The whole of a file, or of a file's content, from what its beginning says.

    Raises:
        SoundError: it is no sound, claims a rate or a number of channels that none has, is cut off, or holds nothing.
    """
    soundfile = _soundfile()
    path, content = ("", source) if isinstance(source, bytes) else (os.fspath(source), None)
    try:
        size = os.stat(path).st_size if content is None else len(content)
        if content is None and not os.path.isfile(path):
            raise SoundError("it is no ordinary file")
        if not size:
            raise SoundError("it is empty")
        with _opened(path, content) as file:
            rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
        begin = _first_bytes(path) if content is None else content[:12]
    except FileNotFoundError as error:
        raise SoundError("there is no such file") from error
    except (OSError, soundfile.LibsndfileError) as error:
        raise SoundError(f"it is no sound that can be read: {_words(error)}") from error
    if not 1 <= rate <= MAX_RATE:
        raise SoundError(f"it claims a rate of {rate} samples a second; from 1 to {MAX_RATE:,} are read")
    if not 1 <= channels <= MAX_CHANNELS:
        raise SoundError(f"it claims {channels} channels; from 1 to {MAX_CHANNELS} are read")
    if frames < 1 or frames / rate < LEAST_SECONDS:
        raise SoundError(f"it holds {max(frames, 0)} samples at {rate} Hz, too few for a sound")
    _check_whole(begin, size)
    return Stretch(path, 0, frames, rate, whole=True, content=content)


def _first_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(12)


def _check_whole(begin: bytes, size: int) -> None:
    """A WAV file says how long it is; the reader passes over that some of it is missing."""
    if begin[:4] == b"RIFF" and begin[8:] == b"WAVE":
        claimed = int.from_bytes(begin[4:8], "little")
        # Recorders that stream leave 0 or all ones.
        if claimed not in (0, 0xFFFFFFFF) and claimed + 8 > size + 1:
            raise SoundError(f"it is cut off: it claims {claimed + 8:,} bytes and has {size:,}")


def read_stretch(stretch: Stretch, rate: int) -> np.ndarray:
    """(T,) float32 in about [-1, 1]: the mean of the channels at ``rate``.

    Raises:
        SoundError: fewer samples than the file claims, samples that are not finite, or silence throughout a file.
    """
    soundfile = _soundfile()
    try:
        with _opened(stretch.path, stretch.content) as file:
            if stretch.start:
                file.seek(stretch.start)
            found = file.read(stretch.frames, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise SoundError(f"it cannot be decoded: {_words(error)}") from error
    if len(found) < stretch.frames - max(TOLERATED * stretch.frames, 0.05 * stretch.rate):
        raise SoundError(f"it is cut off: {len(found):,} of {stretch.frames:,} samples could be decoded")
    wave = found.mean(1)
    if reason := why_no_wave(wave, silence=stretch.whole):
        raise SoundError(reason)
    return at_rate(wave, stretch.rate, rate)


def read_middle(source: str | Path | bytes, rate: int, seconds: float) -> np.ndarray:
    """The middle of a sound as (rate * seconds,) float32 in [-1, 1]; a shorter one has silence behind it.

    Only that part is decoded, so that memory does not grow with the file.

    Args:
        source: a file, or its content.
        rate: samples a second of the result.
        seconds: length of the result.

    Raises:
        SoundError: see :func:`header` and :func:`read_stretch`.
    """
    whole = header(source)
    frames = min(int(np.ceil(seconds * whole.rate)), whole.frames)
    part = whole._replace(start=(whole.frames - frames) // 2, frames=frames, whole=frames == whole.frames)
    length = round(rate * seconds)
    wave = np.clip(read_stretch(part, rate)[:length], -1, 1)
    return np.pad(wave, (0, length - len(wave)))


def why_no_wave(wave: np.ndarray, *, silence: bool = True) -> str:
    """Why samples are no sound; empty where they are one. ``silence`` is a reason where asked for."""
    if not len(wave):
        return "it holds no samples"
    if not np.isfinite(wave).all():
        return "it holds samples that are not finite"
    if silence and np.abs(wave).max() <= SILENCE:
        return "it is silent throughout"
    return ""


def at_rate(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """(T,) float32 at ``wanted`` samples a second, by soxr's high quality."""
    if rate == wanted:
        return np.ascontiguousarray(wave, dtype=np.float32)
    soxr = needed("soxr", "audio", "changing the rate of sounds")
    found = soxr.resample(wave.astype(np.float32, copy=False), rate, wanted)
    return found if len(found) else np.zeros(1, np.float32)


def _words(error: Exception) -> str:
    """The reader's reason, without the path that it repeats."""
    text = str(getattr(error, "error_string", "") or getattr(error, "strerror", "") or error)
    return text.rstrip(".").lower() or type(error).__name__
