"""Networks of speech: encoders of frames and of phonemes, and denoisers of sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from nearfar.parts.diffusion import Diffusion, sines


def there(rows: Sequence[Tensor]) -> Tensor:
    """(N, T) bool: which places of :func:`pad_sequence` of these rows are theirs."""
    lengths = torch.tensor([len(each) for each in rows], device=rows[0].device)
    return torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]


def lengthened(rows: Tensor, frames: Sequence[Tensor]) -> Tensor:
    """(N, T, D): each phoneme's row (N, P, D) repeated for its frames, zeros behind the end."""
    return pad_sequence([row[: len(f)].repeat_interleave(f, 0) for row, f in zip(rows, frames, strict=True)], True)


class Frames(nn.Module):
    """Two convolutions, transformer layers, and a linear layer: what CTAP encodes frames with, of either kind.

    Args:
        taken: channels of a frame.
        dim: of what is made of it.
        width, layers: of the transformer, whose heads have 32 channels or all of them.
    """

    def __init__(self, taken: int, dim: int, width: int, layers: int) -> None:
        super().__init__()
        self.convolve = nn.ModuleList((nn.Conv1d(taken, width, 3, padding=1), nn.Conv1d(width, width, 3, padding=1)))
        layer = nn.TransformerEncoderLayer(
            width, max(width // 32, 1), 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """(N, T, taken) and (N, T) bool to (N, T, dim)."""
        x = rows.mT
        for layer in self.convolve:
            x = nn.functional.gelu(layer(x * mask[:, None]))
        places = sines(torch.arange(x.shape[2], device=x.device), x.shape[1])
        return self.out(self.layers(x.mT + places, src_key_padding_mask=~mask))


class Denoiser(nn.Module):
    """Gated convolutions of growing reach over a noised sequence, told the step, what belongs to each place, and what
    belongs to all (WaveNet's, as DiffWave has them).

    Args:
        channels: of the sequence.
        told: of what belongs to each place.
        width, layers: of the convolutions.
        whole: width of what belongs to all places; 0 for nothing.
    """

    def __init__(self, channels: int, told: int, width: int, layers: int, whole: int = 0) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Conv1d(channels + told, width, 1)
        self.step = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.whole = nn.Linear(whole, width) if whole else None
        self.gates = nn.ModuleList(
            nn.Conv1d(width, 2 * width, 3, padding=2 ** (n % 3), dilation=2 ** (n % 3)) for n in range(layers)
        )
        self.mixes = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(layers))
        self.last = nn.Conv1d(width, channels, 1)

    def forward(self, x: Tensor, t: Tensor, told: Tensor, mask: Tensor, whole: Tensor | None = None) -> Tensor:
        """(N, T, channels) noise of the noised x, steps t (N,), places (N, T, told), (N, T) bool."""
        inside = mask[:, None].to(x)
        h = self.first(torch.cat([x, told], 2).mT)
        step = self.step(sines(t, self.width))
        if self.whole is not None:
            assert whole is not None
            step = step + self.whole(whole)
        for gate, mix in zip(self.gates, self.mixes, strict=True):
            a, b = gate((h + step[..., None]) * inside).chunk(2, 1)
            h = h + mix(a.tanh() * b.sigmoid())
        return self.last(h).mT


class Voice(nn.Module):
    """Convolutions over a spectrogram and the mean over its frames: who speaks."""

    def __init__(self, bands: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(bands, dim, 3, padding=1), nn.GELU(), nn.Conv1d(dim, dim, 1))

    def forward(self, mels: Tensor, mask: Tensor) -> Tensor:
        """(N, T, bands) to (N, dim)."""
        inside = mask[:, None].to(mels)
        return (self.layers(mels.mT * inside) * inside).sum(2) / inside.sum(2)


class Standard(nn.Module):
    """Means and deviations of channels, by which sequences are standardised before they are noised."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    @torch.no_grad()
    def measure(self, rows: Tensor) -> None:
        """Take those of rows (N, channels)."""
        self.mean.copy_(rows.mean(0))
        self.deviation.copy_(rows.std(0, correction=0).clamp_min(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation

    def back(self, x: Tensor) -> Tensor:
        return x * self.deviation + self.mean


class Speaker(nn.Module):
    """What a run of CTAP keeps."""

    def __init__(self, phones: int, bands: int, dim: int, width: int, layers: int, steps: int) -> None:
        super().__init__()
        self.sound, self.text = Frames(bands, dim, width, layers), Frames(width, dim, width, layers)
        self.phones, self.names = nn.Embedding(phones + 1, width), nn.Embedding(phones + 1, width)
        self.voice = Voice(bands, width)
        self.lasting = Denoiser(1, width, width, 4)
        self.meaning = Denoiser(dim, width, width, 6)
        self.sounding = Denoiser(bands, dim, width, 6, whole=width)
        self.of_lasting, self.of_meaning, self.of_sound = Standard(1), Standard(dim), Standard(bands)
        self.diffusion = Diffusion(steps, 1e-4 * 1000 / steps, min(0.02 * 1000 / steps, 0.5))
