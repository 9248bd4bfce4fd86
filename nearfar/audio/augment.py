"""What a room and its noises do to sounds, for whole batches on their device.

Recordings of rooms and of noises are not needed: rooms are decaying noise, and the three kinds of noise that speaker
verification adds (noise, music, speech) are coloured noise, chords, and the other voices of the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.common.share import for_examples, own_rows, whole_batch

__all__ = ["add_noise", "at_ratio", "reverberate"]

RATIOS = ((0.0, 15.0), (5.0, 15.0), (13.0, 20.0))
"""Decibels of the sound over noise, music and speech."""
VOICES = 3
"""Other sounds of the batch that make up the third."""
PARTIALS = 6
"""Tones of the second."""


def _uniform(count: int, columns: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return for_examples(lambda n: torch.rand(n, columns, generator=generator, device=device), count)


def reverberate(
    waves: Tensor, rate: int, generator: torch.Generator, *, seconds: tuple[float, float] = (0.1, 0.5)
) -> Tensor:
    """Waves (N, T) in a room of each: convolved with noise that decays by 60 decibels within a drawn time.

    The direct sound and the whole echo are equally loud at the most. Energy stays what it was.

    Args:
        rate: samples a second.
        generator: draws rooms.
        seconds: least and greatest time of decay, above 0.
    """
    n, device = len(waves), waves.device
    drawn = _uniform(n, 2, generator, device)
    decay = seconds[0] + (seconds[1] - seconds[0]) * drawn[:, :1]
    taps = max(round(seconds[1] * rate), 1)
    noise = for_examples(lambda k: torch.randn(k, taps, generator=generator, device=device), n)
    echo = noise * torch.exp(-3 * math.log(10) * torch.arange(taps, device=device) / rate / decay)
    echo = echo / torch.linalg.vector_norm(echo, dim=1, keepdim=True).clamp_min(1e-9) * drawn[:, 1:]
    echo[:, 0] = 1.0
    size = 1 << (waves.shape[1] + taps - 2).bit_length()
    found = torch.fft.irfft(torch.fft.rfft(waves, size) * torch.fft.rfft(echo, size), size)[:, : waves.shape[1]]
    before, after = (x.square().mean(1, keepdim=True) for x in (waves, found))
    return found * (before / after.clamp_min(1e-12)).sqrt()


def at_ratio(waves: Tensor, noise: Tensor, decibels: Tensor) -> Tensor:
    """Waves (N, T) with noise (N, T) that is so many decibels (N, 1) below them."""
    power, other = (x.square().mean(1, keepdim=True) for x in (waves, noise))
    return waves + noise * (power / other.clamp_min(1e-12)).sqrt() * 10 ** (-decibels / 20)


def add_noise(waves: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Waves (N, T), each with noise, music or speech, at a ratio drawn from :data:`RATIOS`.

    Args:
        rate: samples a second.
        generator: draws kinds, ratios, noises, chords and whose voices are heard.
    """
    n, steps = waves.shape
    drawn = _uniform(n, 4, generator, waves.device)
    kind = (drawn[:, 0] * len(RATIOS)).long().clamp(max=len(RATIOS) - 1)
    bounds = torch.tensor(RATIOS, device=waves.device)[kind]
    decibels = bounds[:, :1] + (bounds[:, 1:] - bounds[:, :1]) * drawn[:, 1:2]
    noise = _voices(waves, generator)
    white = for_examples(lambda k: torch.randn(k, steps, generator=generator, device=waves.device), n)
    notes = _uniform(n, 2 * PARTIALS, generator, waves.device)
    noise[kind == 0] = _coloured(white[kind == 0], drawn[kind == 0, 2:3])
    noise[kind == 1] = _chords(notes[kind == 1], steps, rate, drawn[kind == 1, 3:4])
    return at_ratio(waves, noise, decibels)


def _coloured(white: Tensor, tilt: Tensor) -> Tensor:
    """Noise whose power falls with frequency, from white to brown."""
    spectrum = torch.fft.rfft(white)
    place = torch.arange(1, spectrum.shape[1] + 1, device=white.device)
    return torch.fft.irfft(spectrum * place ** (-tilt), white.shape[1])


def _chords(notes: Tensor, steps: int, rate: int, low: Tensor) -> Tensor:
    """Tones that sound together, their pitches and phases drawn."""
    pitch = 80 * 2 ** (low + 2 * notes[:, :PARTIALS].round(decimals=1))
    turns = torch.arange(steps, device=notes.device) * pitch[:, :, None] / rate + notes[:, PARTIALS:, None]
    return torch.sin(2 * math.pi * turns).sum(1)


def _voices(waves: Tensor, generator: torch.Generator) -> Tensor:
    """The sum of some of the batch's other sounds."""
    everyone = whole_batch(waves)
    shifts = torch.randint(1, max(len(everyone), 2), (VOICES,), generator=generator, device=waves.device)
    return own_rows(torch.stack([everyone.roll(int(shift), 0) for shift in shifts]).sum(0))
