"""What methods on captioned sounds share: two towers into one space, stretches, and one caption of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.audio.data.captions import CaptionedBatch
from nearfar.audio.data.sounds import SoundBatch
from nearfar.audio.method import WindowedMethod
from nearfar.common.share import for_examples
from nearfar.encoders.mel import Mel
from nearfar.encoders.sound import sound_encoder
from nearfar.encoders.text import Pooling, text_encoder
from nearfar.parts.heads import MLPHead
from nearfar.training import Optimization

__all__ = ["CLAP_MEL", "Captioned", "CaptionedMethod", "Towers", "TwoTowers"]

CLAP_MEL = Mel(low=50.0, high=14000.0, edges="hertz", power=2, centred=True, floor=1e-10)
"""Spectrograms of CLAP, for sounds of up to 48,000 samples a second."""


@dataclass(frozen=True)
class Towers:
    """The two towers and the space that they share.

    Args:
        text: a name that :func:`nearfar.encoders.text_encoder` knows.
        pooling: how token states become one vector.
        max_length: tokens kept of a caption.
        hidden: width of the hidden layer of the projections.
        dim: width of the shared space.
    """

    text: str = "small-bert"
    pooling: Pooling = "avg"
    max_length: int = 77
    hidden: int = 512
    dim: int = 512


class TwoTowers(nn.Module):
    """A tower for sounds and one for captions, each with a projection of two layers.

    Args:
        sound: network on spectrograms, by name or as a module.
        towers: the rest.
        mel: what spectrograms are made with.
        rate: samples a second of the waves.
    """

    def __init__(self, sound: str | nn.Module, towers: Towers, mel: Mel, rate: int) -> None:
        super().__init__()
        self.sound = sound_encoder(sound, rate, mel)
        self.text = text_encoder(towers.text, pooling=towers.pooling, max_length=towers.max_length)
        widths = self.sound.out_features, self.text.out_features
        self.sound_projection, self.text_projection = (
            MLPHead(width, towers.hidden, towers.dim, norm="none") for width in widths
        )
        self.out_features = towers.dim

    def forward(self, waves: Tensor) -> Tensor:
        """(N, T) to (N, dim), not normalised."""
        return self.sound_projection(self.sound(waves))

    def embed_text(self, sentences: Sequence[str]) -> Tensor:
        """N sentences to (N, dim), not normalised."""
        return self.text_projection(self.text(sentences))


class Captioned(NamedTuple):
    """A stretch (N, samples) of each sound, one caption of each, and the sounds' rows (N,)."""

    waves: Tensor
    captions: list[str]
    rows: Tensor


class CaptionedMethod(WindowedMethod):
    """A method on captioned sounds. A subclass writes :meth:`loss`.

    Args:
        encoder: network on spectrograms, by name or as a module.
        towers: the tower of captions, and the space that both share.
        rate, seconds, optimization: see :class:`nearfar.audio.method.WindowedMethod`.
        mel: what spectrograms are made with.
    """

    takes = CaptionedBatch
    encoder: TwoTowers

    def __init__(
        self,
        encoder: str | nn.Module,
        towers: Towers,
        rate: int | None,
        mel: Mel,
        seconds: float,
        *,
        optimization: Optimization,
    ) -> None:
        super().__init__(rate, seconds, fill="repeat", optimization=optimization)
        self.encoder = TwoTowers(encoder, towers, mel, self.rate)

    def stretches(self, sounds: SoundBatch) -> Tensor:
        """A random stretch (N, samples) of each."""
        return self.segments(sounds, 1)[0]

    def one_of(self, lists: Sequence[Sequence[str]]) -> list[str]:
        """One sentence of each list, at random."""
        device = self.generator.device
        drawn = for_examples(lambda n: torch.rand(n, generator=self.generator, device=device), len(lists))
        return [each[int(place * len(each))] for each, place in zip(lists, drawn.tolist(), strict=True)]

    def views(self, batch: CaptionedBatch) -> Any:
        """A :class:`Captioned`, unless the subclass needs more."""
        return Captioned(self.stretches(batch.sounds), self.one_of(batch.captions), batch.sounds.rows)

    def embed_text(self, sentences: Sequence[str]) -> Tensor:
        """N sentences to (N, D), the space that :meth:`encode` has for sounds."""
        return self.encoder.embed_text(sentences)
