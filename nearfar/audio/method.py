"""What every method on sounds shares: an encoder by name, random stretches, and whole sounds by windows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nearfar.audio.data.captions import CaptionedBatch
from nearfar.audio.data.sounds import SoundBatch, resampled
from nearfar.audio.segments import Fill, random_segments, unit_energy, windows
from nearfar.encoders.mel import Mel
from nearfar.encoders.sound import SoundEncoder, sound_encoder
from nearfar.training import Method, Optimization
from nearfar.training.door import Door

__all__ = ["SoundMethod", "WindowedMethod", "sounds_of"]


class WindowedMethod(Method):
    """A method that hears stretches of one length; a whole sound is the mean of what it says of its windows.

    Args:
        rate: samples a second; taken from the data when not given.
        seconds: length of a stretch.
        fill: what makes up for sounds that are shorter.
        unit: whether every sound is first scaled so that its squares sum to 1.
        optimization: how the parameters move.
    """

    def __init__(
        self, rate: int | None, seconds: float, *, fill: Fill, unit: bool = False, optimization: Optimization
    ) -> None:
        super().__init__(optimization)
        if rate is None:
            raise ValueError("rate is needed: the samples a second of the sounds")
        if not seconds > 0:
            raise ValueError(f"seconds must be above 0, got {seconds}")
        self.rate = int(rate)
        self.samples = max(round(seconds * self.rate), 1)
        self.fill: Fill = fill
        self.unit = unit

    def heard(self, batch: SoundBatch) -> SoundBatch:
        """The batch at the method's rate and level."""
        if batch.rate != self.rate:
            batch = resampled(batch, self.rate)
        return batch._replace(waves=unit_energy(batch.waves)) if self.unit else batch

    def segments(self, batch: SoundBatch, count: int) -> list[Tensor]:
        """``count`` independent stretches (N, samples) of each sound."""
        heard = self.heard(batch)
        return [
            random_segments(heard.waves, heard.lengths, self.samples, self.generator, fill=self.fill)
            for _ in range(count)
        ]

    def of_window(self, waves: Tensor) -> Tensor:
        """The representation (W, D) of stretches (W, samples)."""
        return self.encoder(waves)

    def door(self, batch: Any) -> Door:
        """One stretch of each sound; what is longer is the mean of its stretches' vectors."""
        waves = self.heard(sounds_of(batch, self.rate)).waves[:, : self.samples]
        waves = nn.functional.pad(waves, (0, self.samples - waves.shape[1]))
        says = {
            "rate": self.rate,
            "samples": self.samples,
            "shorter": f"filled up with {self.fill}",
            "longer": "the mean of the vectors of consecutive stretches, the last filled up",
        }
        return Door(_Stretch(self).eval(), {"waves": waves}, {"waves": {0: "sounds"}}, says)

    def encode(self, batch: Any) -> Tensor:
        """The representation (N, D) of whole sounds, the mean over their windows."""
        sounds = self.heard(sounds_of(batch, self.rate))
        found: Tensor | None = None
        for waves, of in windows(sounds, self.samples, fill=self.fill):
            vectors = self.of_window(waves).float()
            if found is None:
                found = vectors.new_zeros(len(sounds.lengths), vectors.shape[1])
            found.index_add_(0, of, vectors)
        assert found is not None
        counts = (sounds.lengths + self.samples - 1).div(self.samples, rounding_mode="floor").clamp_min(1)
        return found / counts[:, None]


class _Stretch(nn.Module):
    """What a method says of stretches (N, samples) of sound."""

    def __init__(self, method: WindowedMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, waves: Tensor) -> Tensor:
        return self.method.of_window(unit_energy(waves) if self.method.unit else waves).float()


class SoundMethod(WindowedMethod):
    """A method on sounds with one encoder.

    Args:
        encoder: a name that :func:`nearfar.encoders.sound.sound_encoder` knows, or a module.
        rate, seconds, fill, unit, optimization: see :class:`WindowedMethod`.
        mel: what its spectrograms are made with.
    """

    takes = SoundBatch
    encoder: SoundEncoder

    def __init__(
        self,
        encoder: str | nn.Module,
        rate: int | None,
        mel: Mel,
        seconds: float,
        *,
        fill: Fill = "silence",
        unit: bool = False,
        optimization: Optimization,
    ) -> None:
        super().__init__(rate, seconds, fill=fill, unit=unit, optimization=optimization)
        self.encoder = sound_encoder(encoder, self.rate, mel)

    @property
    def features(self) -> int:
        """Width of the representation."""
        return self.encoder.out_features


def sounds_of(batch: Any, rate: int) -> SoundBatch:
    """The sounds of a batch of either kind, or of a tensor of waves (N, T) at ``rate``."""
    if isinstance(batch, CaptionedBatch):
        return batch.sounds
    if isinstance(batch, Tensor):
        lengths = torch.full((len(batch),), batch.shape[1], device=batch.device)
        return SoundBatch(batch, lengths, torch.arange(len(batch), device=batch.device), rate)
    assert isinstance(batch, SoundBatch)
    return batch
