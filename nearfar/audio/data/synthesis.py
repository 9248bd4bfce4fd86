"""Sounds made from formulas: voices by source and filter, and events of eight kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter, sosfilt

from nearfar.spelling import one_of

__all__ = ["EVENTS", "RATE", "WORDS", "Speaker", "event", "in_a_room", "speaker", "utter", "with_noise"]

RATE = 8000
"""Samples a second of everything that is generated."""

VOWELS = {
    "a": (750, 1200, 2500, 3400),
    "e": (500, 1850, 2500, 3400),
    "i": (300, 2250, 2950, 3500),
    "o": (480, 900, 2450, 3300),
    "u": (330, 780, 2300, 3300),
}
"""Resonances of a vocal tract of usual length in hertz."""
WIDTHS = (80.0, 100.0, 140.0, 200.0)
HISSES = {"s": (2600.0, 3900.0), "f": (900.0, 3600.0), "h": (400.0, 1800.0)}
WORDS = ("sasu", "fio", "hea", "ofi", "isa", "ufe", "ahos", "esuh", "ifa", "osef")
"""Words of known sounds, no two with the same beginning and end."""


@dataclass(frozen=True)
class Speaker:
    """What stays the same whatever somebody says.

    Attributes:
        pitch: mean frequency of the voice in hertz.
        tract: multiplies all resonances: below 1 for a long vocal tract.
        shifts: multiply the four resonances one by one.
        tilt: how much the source loses its high frequencies, in [0, 1).
        breath: loudness of breath in the voice.
    """

    pitch: float
    tract: float
    shifts: tuple[float, float, float, float]
    tilt: float
    breath: float


def speaker(rng: np.random.Generator) -> Speaker:
    """Somebody new."""
    shifts = tuple(float(s) for s in rng.uniform(0.88, 1.12, 4))
    assert len(shifts) == 4
    return Speaker(
        pitch=float(np.exp(rng.uniform(np.log(85), np.log(260)))),
        tract=float(rng.uniform(0.8, 1.25)),
        shifts=shifts,
        tilt=float(rng.uniform(0.5, 0.95)),
        breath=float(rng.uniform(0.01, 0.12)),
    )


def utter(who: Speaker, phones: str, rng: np.random.Generator, *, tempo: float = 1.0) -> np.ndarray:
    """(T,) somebody saying vowels (``aeiou``) and hisses (``sfh``), about an eighth of a second each.

    Pitch, lengths and resonances differ a little every time.
    """
    mood = rng.uniform(0.96, 1.04)
    parts, state = [], np.zeros((len(WIDTHS), 2))
    for phone in phones:
        steps = int(rng.uniform(0.09, 0.16) * RATE / tempo)
        if phone in HISSES:
            low, high = (min(f / who.tract**0.5, 3950.0) for f in HISSES[phone])
            parts.append(0.25 * _band(rng.normal(size=steps), low, high))
            continue
        contour = who.pitch * mood * np.exp(rng.uniform(-0.08, 0.08) * np.linspace(-1, 1, steps))
        phase = np.cumsum(contour * (1 + 0.01 * rng.normal(size=steps))) / RATE + rng.uniform()
        source = np.diff(np.floor(phase), prepend=np.floor(phase[0])) + who.breath * rng.normal(size=steps)
        source = lfilter([1 - who.tilt], [1, -who.tilt], source)
        peaks = np.array(VOWELS[phone]) * who.tract * np.array(who.shifts) * rng.uniform(0.98, 1.02)
        sections = np.stack([_resonance(min(peak, 3900.0), width) for peak, width in zip(peaks, WIDTHS, strict=True)])
        voiced, state = sosfilt(sections, source, zi=state)
        parts.append(voiced / max(float(np.sqrt(np.mean(voiced**2))), 1e-9) * 0.1)
    return np.concatenate(parts)


def _resonance(frequency: float, width: float) -> np.ndarray:
    """A second-order section that passes a band of a gain of 1 at 0 hertz."""
    radius = np.exp(-np.pi * width / RATE)
    a1, a2 = -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2
    return np.array([1 + a1 + a2, 0, 0, 1, a1, a2])


def _band(noise: np.ndarray, low: float, high: float) -> np.ndarray:
    """Noise between two frequencies, of a mean square of 1."""
    spectrum = np.fft.rfft(noise)
    frequency = np.fft.rfftfreq(len(noise), 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    found = np.fft.irfft(spectrum, len(noise))
    return found / max(float(np.sqrt(np.mean(found**2))), 1e-9)


def in_a_room(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Through a channel that tilts the spectrum at random."""
    return lfilter([1, rng.uniform(-0.4, 0.4)], [1], wave)


def with_noise(wave: np.ndarray, decibels: float, rng: np.random.Generator) -> np.ndarray:
    """With white noise, so many decibels below the sound; scaled to a peak between 0.2 and 0.9."""
    power = float(np.mean(wave**2))
    noisy = wave + rng.normal(size=len(wave)) * np.sqrt(power * 10 ** (-decibels / 10))
    return (noisy / np.abs(noisy).max() * rng.uniform(0.2, 0.9)).astype(np.float32)


EVENTS = ("beep", "buzz", "rattle", "hiss", "rising whistle", "falling whistle", "siren", "bell")
"""Kinds of events."""


def event(kind: str, pitch: float, tempo: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) an event of one of :data:`EVENTS`.

    Args:
        pitch: its frequency in hertz, 200 to 2000.
        tempo: how often it comes again in a second.
        seconds: its length.
        rng: draws phases and small deviations.
    """
    steps = max(int(seconds * RATE), 8)
    t = np.arange(steps) / RATE
    cycle = (t * tempo + rng.uniform()) % 1.0
    turns = 2 * np.pi * (pitch * t + rng.uniform())
    if kind == "beep":
        wave = np.sin(turns) * (cycle < 0.5)
    elif kind == "buzz":
        wave = (2 * ((pitch / 4 * t + rng.uniform()) % 1.0) - 1) * (0.6 + 0.4 * np.sin(2 * np.pi * cycle))
    elif kind == "rattle":
        wave = _band(rng.normal(size=steps), 0.6 * pitch, min(3 * pitch, 3900)) * np.exp(-12 * ((2 * cycle) % 1.0))
    elif kind == "hiss":
        wave = _band(rng.normal(size=steps), pitch, min(2 * pitch, 3900)) * (0.6 + 0.4 * np.sin(2 * np.pi * cycle))
    elif kind in ("rising whistle", "falling whistle"):
        place = cycle if kind.startswith("rising") else 1 - cycle
        wave = np.sin(2 * np.pi * np.cumsum(pitch * 2 ** (place - 0.5)) / RATE)
    elif kind == "siren":
        wave = np.sin(2 * np.pi * np.cumsum(pitch * (1 + 0.3 * np.sin(2 * np.pi * cycle))) / RATE)
    elif kind == "bell":
        partials = sum(np.sin(turns * ratio) / (1 + i) for i, ratio in enumerate((1.0, 1.51, 1.98)))
        wave = partials * np.exp(-4 * cycle)
    else:
        raise ValueError(f"there is no event {kind!r}{one_of(kind, EVENTS)}")
    return wave / max(float(np.sqrt(np.mean(wave**2))), 1e-9) * 0.1
