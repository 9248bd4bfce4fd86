"""Additive margins for contrastive self-supervised speaker verification."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.audio.augment import add_noise, reverberate
from nearfar.audio.data.sounds import SoundBatch
from nearfar.audio.method import SoundMethod
from nearfar.encoders.mel import Mel
from nearfar.losses import margin_nt_xent
from nearfar.losses.contrast.margin import Margin
from nearfar.training import Optimization

VOICE = Mel(bands=40, low=0.0, high=8000.0, edges="hertz", power=2, centred=True, taper="hamming", floor=1e-6)
"""Spectrograms of the paper: 40 bands up to half of 16 kHz."""


class AdditiveMarginSpeaker(SoundMethod):
    """Lepage and Dehak, 2023, Interspeech, arXiv 2306.03664.

    Two stretches of an utterance, in different rooms and under different noise, find each other among all stretches of
    the batch's other utterances, and the positive cosine is first lessened by a margin. The loss is on the embedding
    itself, without a projection, and two voices are compared by cosine. Utterances of one speaker in a batch are
    negatives of each other, which nobody can know without labels.

    Departures from the released code (theolepage/sslsv): rooms and noises are made (see
    :mod:`nearfar.audio.augment`) in the place of recorded ones; the rate falls by the same factor over a run, but
    linearly.

    Args:
        encoder: network on spectrograms, by name or as a module.
        rate: samples a second; taken from the data when not given.
        mel: what spectrograms are made with.
        seconds: length of a stretch; shorter utterances are repeated.
        kind: ``am`` takes the margin off the cosine, ``aam`` adds it to the angle, ``none`` has none.
        margin: at least 0; 0.05 to 0.5 for ``am`` and 0.005 to 0.2 for ``aam`` in the paper.
        margin_growth: share of the run over which the margin rises along a cosine from 0, in [0, 1].
        temperature: divides the cosines, above 0.
        symmetric: whether both stretches look for each other among all rows; otherwise the first for the second among
            the second ones, which is the usual loss that the paper begins with.
        augment: whether stretches get rooms and noises.
        optimization: Adam at 1e-3, whose rate ends at 36% (0.95 every five of a hundred epochs).
    """

    def __init__(
        self,
        encoder: str | nn.Module = "thin-resnet34",
        *,
        rate: int | None = None,
        mel: Mel = VOICE,
        seconds: float = 2.0,
        kind: Margin = "am",
        margin: float = 0.1,
        margin_growth: float = 0.0,
        temperature: float = 0.03,
        symmetric: bool = True,
        augment: bool = True,
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="linear", floor=0.36),
    ) -> None:
        super().__init__(encoder, rate, mel, seconds, fill="repeat", optimization=optimization)
        if not 0 <= margin_growth <= 1:
            raise ValueError(f"margin_growth is a share of the run, in [0, 1]; got {margin_growth}")
        self.kind: Margin = kind
        self.margin, self.margin_growth = margin, margin_growth
        self.temperature, self.symmetric, self.augment = temperature, symmetric, augment

    @property
    def margin_now(self) -> float:
        """The margin of this step."""
        if self.progress >= self.margin_growth:
            return self.margin
        return self.margin * (1 - math.cos(math.pi * self.progress / self.margin_growth)) / 2

    def views(self, batch: SoundBatch) -> tuple[Tensor, ...]:
        stretches = self.segments(batch, 2)
        if not self.augment:
            return tuple(stretches)
        rooms = [reverberate(waves, self.rate, self.generator) for waves in stretches]
        return tuple(add_noise(waves, self.rate, self.generator) for waves in rooms)

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        z1, z2 = self.gather(*self.encoder(torch.cat(views)).chunk(2))
        return margin_nt_xent(
            z1,
            z2,
            temperature=self.temperature,
            margin=self.margin_now,
            kind=self.kind,
            symmetric=self.symmetric,
        )

    def of_window(self, waves: Tensor) -> Tensor:
        return F.normalize(self.encoder(waves).float(), dim=1)
