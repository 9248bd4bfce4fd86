"""Log-mel spectrograms on whatever device the sound is: the front end of every encoder of sounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["LogMel", "Mel", "mel_matrix"]

Scale = Literal["htk", "slaney"]
Edges = Literal["mel", "hertz"]
Taper = Literal["hann", "hamming"]

# Numbers of one block of tapered frames; a block stays in a processor's cache, and bounds the memory elsewhere.
BLOCK = {"cpu": 1 << 16}
BLOCK_ELSEWHERE = 1 << 27


@dataclass(frozen=True)
class Mel:
    """What a log-mel spectrogram is made with. The defaults are COLA's, which are those of TensorFlow.

    ==================  ==============================================================================================
    as in               what differs from the defaults
    ==================  ==============================================================================================
    COLA, TensorFlow    ``fft=1024`` at 16 kHz
    librosa             ``scale="slaney", edges="hertz", area=True, power=2, centred=True``, its ``power_to_db`` is
                        10 / ln 10 times this with ``floor=1e-10``
    Kaldi-like speech   ``edges="hertz", power=2, centred=True, taper="hamming"``
    ==================  ==============================================================================================

    Args:
        bands: number of bands, at least 1.
        window: length of a frame in seconds, above 0.
        hop: seconds from one frame to the next, above 0.
        fft: samples of the Fourier transform, at least a frame's; 0 for the least power of two that holds one.
        low: lower edge of the lowest band in hertz, at least 0.
        high: upper edge of the highest band in hertz; half of the rate where that is less.
        scale: ``htk`` is 1127 ln(1 + f / 700); ``slaney`` is linear below 1 kHz and logarithmic above.
        edges: whether a band's triangle has straight sides over ``mel`` (TensorFlow) or over ``hertz``.
        area: divide each triangle by half of its width in hertz, so that all have one area; peaks of 1 otherwise.
        power: 1 for magnitudes, 2 for their squares.
        centred: frame k is centred at k hops, with silence before the beginning and after the end; otherwise it begins
            there, and none goes beyond the end.
        taper: periodic window over a frame.
        floor: bands are at least this before the natural logarithm, above 0.
    """

    bands: int = 64
    window: float = 0.025
    hop: float = 0.01
    fft: int = 0
    low: float = 60.0
    high: float = 7800.0
    scale: Scale = "htk"
    edges: Edges = "mel"
    area: bool = False
    power: int = 1
    centred: bool = False
    taper: Taper = "hann"
    floor: float = 1e-5

    def __post_init__(self) -> None:
        words = {"scale": get_args(Scale), "edges": get_args(Edges), "taper": get_args(Taper), "power": (1, 2)}
        for name, accepted in words.items():
            if getattr(self, name) not in accepted:
                raise ValueError(
                    f"mel.{name} must be one of {', '.join(map(str, accepted))}, got {getattr(self, name)!r}"
                )
        bounds = {
            "bands": (self.bands >= 1, "at least 1"),
            "window": (self.window > 0, "above 0 seconds"),
            "hop": (self.hop > 0, "above 0 seconds"),
            "fft": (self.fft >= 0, "0 or a number of samples"),
            "low": (self.low >= 0, "at least 0 hertz"),
            "high": (self.high > self.low, "above mel.low"),
            "floor": (self.floor > 0, "above 0"),
        }
        for name, (fine, accepted_range) in bounds.items():
            if not fine:
                raise ValueError(f"mel.{name} must be {accepted_range}, got {getattr(self, name)!r}")

    def samples(self, rate: int) -> tuple[int, int, int]:
        """Samples of a frame, of a hop and of the transform."""
        if rate < 1:
            raise ValueError(f"the rate of a sound must be at least 1 sample a second, got {rate}")
        window, hop = max(round(self.window * rate), 1), max(round(self.hop * rate), 1)
        fft = self.fft or 1 << (window - 1).bit_length()
        if fft < window:
            raise ValueError(f"mel.fft must hold a frame of {window} samples, got {fft}")
        if self.low >= rate / 2:
            raise ValueError(f"mel.low must be below half of the rate of {rate}, got {self.low}")
        return window, hop, fft


def mel_matrix(mel: Mel, rate: int) -> np.ndarray:
    """(fft // 2 + 1, bands) float64: the share of each frequency in each band. The constant component has none."""
    _, _, fft = mel.samples(rate)
    frequencies = np.arange(fft // 2 + 1) * rate / fft
    to_mel, from_mel = _SCALES[mel.scale]
    corners = np.linspace(to_mel(np.array(mel.low)), to_mel(np.array(min(mel.high, rate / 2))), mel.bands + 2)
    hertz = from_mel(corners)
    x, at = (to_mel(frequencies), corners) if mel.edges == "mel" else (frequencies, hertz)
    rising = (x[:, None] - at[:-2]) / np.diff(at)[:-1]
    falling = (at[2:] - x[:, None]) / np.diff(at)[1:]
    matrix = np.clip(np.minimum(rising, falling), 0.0, None)
    if mel.area:
        matrix *= 2.0 / (hertz[2:] - hertz[:-2])
    matrix[0] = 0.0
    return matrix


def _htk(hertz: np.ndarray) -> np.ndarray:
    return 1127.0 * np.log1p(hertz / 700.0)


def _htk_back(mels: np.ndarray) -> np.ndarray:
    return 700.0 * np.expm1(mels / 1127.0)


_STEP = math.log(6.4) / 27
"""Logarithmic steps of Slaney's scale above 1 kHz, which is 15 of its mels."""


def _slaney(hertz: np.ndarray) -> np.ndarray:
    above = 15 + np.log(np.maximum(hertz, 1000.0) / 1000.0) / _STEP
    return np.where(hertz < 1000.0, hertz * 3 / 200, above)


def _slaney_back(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < 15, mels * 200 / 3, 1000.0 * np.exp(_STEP * (np.maximum(mels, 15) - 15)))


_SCALES = {"htk": (_htk, _htk_back), "slaney": (_slaney, _slaney_back)}


def exporting() -> bool:
    """Whether a graph is being traced."""
    asked = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return bool(asked())


class LogMel(nn.Module):
    """Waves (N, T) to natural logarithms of their mel bands (N, F, bands).

    Frames are cut, tapered and transformed in blocks, so that beyond its result it needs the memory of one block. The
    zeros that fill a frame up to the transform's length lie behind it, which changes phases and no magnitude. A wave
    shorter than a frame is filled up with silence.

    Args:
        mel: what it is made with.
        rate: samples a second of the waves.
    """

    taper: Tensor
    matrix: Tensor

    def __init__(self, mel: Mel, rate: int) -> None:
        super().__init__()
        self.mel, self.rate = mel, rate
        self.window, self.hop, self.fft = mel.samples(rate)
        angles = 2 * np.pi * np.arange(self.window) / self.window
        alpha = 0.5 if mel.taper == "hann" else 0.54
        taper = alpha - (1 - alpha) * np.cos(angles)
        matrix = mel_matrix(mel, rate)
        heard = np.flatnonzero(matrix.any(1))
        if not len(heard):
            raise ValueError(
                f"no frequency of a transform of {self.fft} samples lies in the bands from {mel.low:g} to "
                f"{mel.high:g} hertz; raise mel.fft"
            )
        self.heard = slice(int(heard[0]), int(heard[-1]) + 1)
        self.register_buffer("taper", torch.tensor(taper, dtype=torch.float32), persistent=False)
        self.register_buffer("matrix", torch.tensor(matrix[self.heard], dtype=torch.float32), persistent=False)

    def frames(self, samples: int) -> int:
        """How many frames a wave of so many samples has."""
        if self.mel.centred:
            return 1 + samples // self.hop
        return 1 + max(samples - self.window, 0) // self.hop

    def forward(self, waves: Tensor) -> Tensor:
        if waves.ndim != 2 or not waves.is_floating_point():
            raise ValueError(f"expected waves (N, T) of floating-point numbers, got {waves.dtype} {tuple(waves.shape)}")
        before = (self.fft // 2 - (self.fft - self.window) // 2) if self.mel.centred else 0
        count = self.frames(waves.shape[1])
        needed = (count - 1) * self.hop + self.window
        behind = max(needed - before - waves.shape[1], 0)
        if before or behind:
            waves = nn.functional.pad(waves, (before, behind))
        framed = waves.unfold(1, self.window, self.hop)[:, :count]
        if exporting():
            return self._bands_of_products(framed)
        block = BLOCK.get(waves.device.type, BLOCK_ELSEWHERE)
        step = max(block // (self.window * max(len(waves), 1)), 1)
        if step >= count:
            return self._bands(framed)
        return torch.cat([self._bands(part) for part in framed.split(step, 1)], 1)

    def _bands_of_products(self, frames: Tensor) -> Tensor:
        """The same by two products, for graphs: their number of sounds is free, and few of them know a transform."""
        steps = torch.arange(self.window, dtype=torch.float64)[:, None]
        turns = 2 * math.pi / self.fft * steps * torch.arange(self.fft // 2 + 1, dtype=torch.float64)[self.heard]
        tapered = frames * self.taper
        loud = (tapered @ turns.cos().float()).square() + (tapered @ turns.sin().float()).square()
        return ((loud if self.mel.power == 2 else loud.sqrt()) @ self.matrix).clamp_min(self.mel.floor).log()

    def _bands(self, frames: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(frames * self.taper.to(frames.dtype), self.fft)[..., self.heard]
        if self.mel.power == 2:
            loud = torch.view_as_real(spectrum).square().sum(-1)
        else:
            loud = spectrum.abs()
        return (loud @ self.matrix.to(frames.dtype)).clamp_min(self.mel.floor).log()
