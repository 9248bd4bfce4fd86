"""Transformers over the frames of a sound, whose layers can be looked at one by one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nearfar.encoders.places import there
from nearfar.encoders.vit import sine_positions
from nearfar.spelling import one_of

__all__ = ["SPEECH_NETWORKS", "FrameTransformer", "PretrainedSpeech", "pretrained_speech", "speech_network"]


class FrameTransformer(nn.Module):
    """A transformer on log-mel frames, two of which are one step; a sound is the mean over its steps.

    Each band is first standardised over its time. Steps that are hidden become a learned vector before positions are
    added.

    Args:
        bands: number of bands.
        layers, width, heads: of the transformer, whose feed-forward layers are four times as wide.

    Shape: spectrograms ``(N, F, bands)`` to ``(N, width)``.
    """

    by_example = ("forward", "hidden")

    def __init__(self, bands: int, *, layers: int, width: int, heads: int = 4) -> None:
        super().__init__()
        self.standard = nn.InstanceNorm1d(bands)
        self.front = nn.Conv1d(bands, width, 3, 2, padding=1)
        self.mask_token = nn.Parameter(torch.empty(width).uniform_())
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.last = nn.LayerNorm(width)
        self.out_features = width

    def steps(self, frames: int) -> int:
        """How many steps so many frames are."""
        return (frames + 1) // 2

    def hidden(self, spectrogram: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """(N, steps, width) of the front end and after every layer; steps of ``mask`` (N, steps) are hidden."""
        x = self.front(self.standard(spectrogram.transpose(1, 2))).transpose(1, 2)
        if mask is not None:
            x = torch.where(mask.unsqueeze(2), self.mask_token.to(x.dtype), x)
        found = [x]
        x = x + sine_positions(1, x.shape[1], x.shape[2]).to(x)
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.last(self.hidden(spectrogram)[-1]).mean(1)


class PretrainedSpeech(nn.Module):
    """A transformers model of speech (wav2vec 2.0, HuBERT, WavLM) that hears waves at 16 kHz.

    Args:
        model: returns ``hidden_states`` of waves (N, T).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self.out_features = int(config.hidden_size)
        self.depth = int(config.num_hidden_layers)

    def hidden(self, waves: Tensor) -> list[Tensor]:
        """(N, steps, width) of the front end and after every layer; about 50 steps a second."""
        spread = waves.std(1, keepdim=True).clamp_min(1e-5)
        found = self.model((waves - waves.mean(1, keepdim=True)) / spread, output_hidden_states=True)
        return [*found.hidden_states]


SPEECH_NETWORKS: dict[str, tuple[int, int]] = {
    "tiny-speech": (2, 96),
    "small-speech": (6, 96),
    "base-speech": (12, 768),
}
"""Layers and widths by name."""


def speech_network(name: str, bands: int) -> FrameTransformer:
    """A :class:`FrameTransformer` by name.

    Raises:
        ValueError: unknown name.
    """
    if name not in SPEECH_NETWORKS:
        raise ValueError(f"unknown network of speech {name!r}{one_of(name, SPEECH_NETWORKS, are='accepted are')}")
    layers, width = SPEECH_NETWORKS[name]
    return FrameTransformer(bands, layers=layers, width=width, heads=12 if width > 512 else 4)


def pretrained_speech(name: str) -> PretrainedSpeech:
    """A transformers model by name, from its own weights."""
    from transformers import AutoModel

    return PretrainedSpeech(AutoModel.from_pretrained(there(name), trust_remote_code=False))
