"""Sound files as waves, whatever they hold; files that are no sounds as a sentence that says why."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from nearfar.common.extras import needed

__all__ = ["SUFFIXES", "SoundError", "read_sound"]

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf")
HIGHEST_RATE = 768_000


class SoundError(ValueError):
    """A file that cannot be read as a sound; the message is the reason, without the file's name."""


def read_sound(source: Path | bytes, rate: int, seconds: float) -> np.ndarray:
    """The middle of a sound as (rate * seconds,) float32 in [-1, 1], all channels averaged.

    A shorter sound has silence behind it. Only the part that is kept is decoded, so memory does not grow with the file.

    Args:
        source: a file, or its content.
        rate: samples per second of the result; others are resampled.
        seconds: length of the result.

    Raises:
        SoundError: it is no sound, or holds values that are not finite. ImportError: the extra ``audio`` is missing.
    """
    soundfile = needed("soundfile", "audio", "a collection of sounds")
    length = round(rate * seconds)
    if isinstance(source, Path) and not source.is_file():
        raise SoundError("there is no such file" if not source.exists() else "it is no ordinary file")
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            if not 0 < file.samplerate <= HIGHEST_RATE:
                raise SoundError(f"it claims {file.samplerate} samples a second")
            wanted = int(np.ceil(seconds * file.samplerate))
            file.seek(max((file.frames - wanted) // 2, 0))
            wave = file.read(wanted, dtype="float32", always_2d=True).mean(1)
            found_rate = file.samplerate
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise SoundError(f"it cannot be read as a sound: {str(error).rpartition(': ')[2]}") from error
    if not len(wave):
        raise SoundError("it holds no sound")
    if not np.isfinite(wave).all():
        raise SoundError("it holds values that are not finite")
    if found_rate != rate:
        wave = needed("soxr", "audio", "sounds of another rate").resample(wave, found_rate, rate)
    wave = np.clip(wave[:length], -1, 1).astype(np.float32)
    return np.pad(wave, (0, length - len(wave)))
