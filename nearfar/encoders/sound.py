"""The door every wave takes: samples in, one vector per sound out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nearfar.encoders.resnet import ResNet, SmallConvNet

__all__ = ["SOUND_ENCODERS", "SoundEncoder", "sound_encoder"]

FLOOR = 1e-5


class SoundEncoder(nn.Module):
    """A picture network on the log-mel spectrogram of a wave, averaged over time and bands.

    Frames of 25 ms every 10 ms, a periodic Hann window, magnitudes; bands are triangles with straight sides in hertz on
    the scale ``2595 log10(1 + f / 700)``; the natural logarithm of at least 1e-5, standardised over each spectrogram.

    Args:
        backbone: maps (N, 3, bands, T) to (N, C, h, w); the spectrogram is given three times.
        rate: samples per second of the waves.
        bands: mel bands.

    Shape: waves (N, L) in [-1, 1], L at least 25 ms, to (N, C).
    """

    by_example = ("forward",)

    filters: Tensor
    window: Tensor

    def __init__(self, backbone: nn.Module, rate: int = 16000, bands: int = 64) -> None:
        super().__init__()
        if rate < 1000:
            raise ValueError(f"rate must be at least 1000 samples a second, got {rate}")
        self.backbone = backbone
        self.out_features = int(backbone.out_features)  # type: ignore[arg-type]
        self.frame, self.hop = round(0.025 * rate), round(0.01 * rate)
        self.size = 2 ** math.ceil(math.log2(self.frame))
        self.register_buffer("window", torch.hann_window(self.frame), persistent=False)
        self.register_buffer("filters", _triangles(rate, self.size, bands), persistent=False)

    def spectrogram(self, waves: Tensor) -> Tensor:
        """(N, L) to (N, bands, T)."""
        if waves.ndim != 2 or waves.shape[1] < self.frame:
            raise ValueError(f"expected waves (N, L) of at least {self.frame} samples, got {tuple(waves.shape)}")
        found = torch.stft(
            waves.float(),
            self.size,
            self.hop,
            self.frame,
            self.window,
            center=waves.shape[1] > self.size // 2,
            pad_mode="reflect",
            return_complex=True,
        ).abs()
        log = torch.log((self.filters @ found).clamp_min(FLOOR))
        return (log - log.mean((1, 2), keepdim=True)) / (log.std((1, 2), keepdim=True) + FLOOR)

    def forward(self, waves: Tensor) -> Tensor:
        maps = self.backbone(self.spectrogram(waves).unsqueeze(1).expand(-1, 3, -1, -1))
        return maps.mean((2, 3))


def _triangles(rate: int, size: int, bands: int) -> Tensor:
    """(bands, size / 2 + 1) weights of the frequencies of each band."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2, dtype=torch.float64) / 2595) - 1)
    hertz = torch.linspace(0, rate / 2, size // 2 + 1, dtype=torch.float64)
    rise = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp_min(0).float()


SOUND_ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "small-sound": SmallConvNet,
    "resnet18-sound": lambda: ResNet(18),
    "resnet50-sound": lambda: ResNet(50),
}


def sound_encoder(encoder: str | nn.Module, rate: int) -> nn.Module:
    """A sound encoder by name, or a module of one's own that maps waves (N, L) to (N, ``out_features``).

    Raises:
        ValueError: unknown name.
    """
    if isinstance(encoder, nn.Module):
        return encoder
    if encoder not in SOUND_ENCODERS:
        raise ValueError(f"unknown encoder of sounds {encoder!r}; accepted are {', '.join(SOUND_ENCODERS)}")
    return SoundEncoder(SOUND_ENCODERS[encoder](), rate)
