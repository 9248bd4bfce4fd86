"""Speaking by three diffusions: of durations, of what is said, and of sounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nearfar.generation.data.speech import Speech, SpeechBatch
from nearfar.generation.made import Made
from nearfar.generation.method import Draws, Generates
from nearfar.generation.speaking import Denoiser, Speaker, lengthened, there
from nearfar.training import Method, Optimization


class SpeechViews(NamedTuple):
    """Spectrograms N x (T, bands), prompts of their speakers N x (T', bands), and, of the W utterances whose phonemes
    are known, their places among the N (W,), the phonemes' numbers W x (P,) and their frames W x (P,)."""

    mels: list[Tensor]
    prompts: list[Tensor]
    known: Tensor
    phones: list[Tensor]
    frames: list[Tensor]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks.

    Args:
        dim: of the semantic frames.
        width: of every network inside.
        layers: of both CTAP encoders' transformers.
    """

    dim: int = 64
    width: int = 256
    layers: int = 6


class SpeakingMethod(Generates, Method):  # type: ignore[misc]
    """What speaks once it has learned: the networks of a :class:`nearfar.generation.speaking.Speaker`.

    Args:
        phones: every phoneme.
        bands: of the spectrograms.
        sizes: of the networks.
        levels: of noise.
        sampling: steps of each diffusion when speaking.
        optimization: how the parameters move.

    Attributes:
        direct: spectrograms are made of repeated phonemes, without frames of what is said.
    """

    verbs = ("generates",)
    takes = SpeechBatch
    can_collapse = False
    direct: bool = False

    def __init__(
        self,
        phones: tuple[str, ...] | None,
        bands: int | None,
        sizes: Sizes,
        levels: int,
        sampling: int,
        optimization: Optimization,
    ) -> None:
        super().__init__(optimization)
        if not phones or not bands:
            raise ValueError("CTAP needs the bands of spectrograms and phonemes, of which none is known")
        self.number = {phone: n + 1 for n, phone in enumerate(phones)}
        self.encoder: Speaker = Speaker(len(phones), bands, sizes.dim, sizes.width, sizes.layers, levels)
        self.encoder.diffusion.times(sampling)  # raises early on a bad value
        self.sampling = sampling

    def numbers(self, phones: Sequence[str], device: Any) -> Tensor:
        """Phonemes as numbers from 1; 0 is one that training never saw."""
        return torch.tensor([self.number.get(phone, 0) for phone in phones], device=device)

    def noise_loss(
        self, network: Denoiser, x0: Tensor, told: Tensor, mask: Tensor, whole: Tensor | None = None
    ) -> Tensor:
        """Mean squared error of the noise at a random level of each sequence, over the places that are there."""
        t = torch.randint(len(self.encoder.diffusion), (len(x0),), generator=self.generator, device=x0.device)
        noise = torch.randn(x0.shape, generator=self.generator, device=x0.device)
        found = network(self.encoder.diffusion.noised(x0, t, noise), t, told, mask, whole)
        return (found - noise).square()[mask].mean()

    def lasting_loss(self, names: Tensor, views: SpeechViews) -> Tensor:
        """Of the logarithms of durations."""
        logs = self.encoder.of_lasting(pad_sequence(views.frames, True).clamp_min(1).float().log()[..., None])
        return self.noise_loss(self.encoder.lasting, logs, names, there(views.frames))

    def sampled(
        self, network: Denoiser, told: Tensor, mask: Tensor, draws: Draws, whole: Tensor | None = None
    ) -> Tensor:
        """Sequences (N, T, channels) of what is told; each starts at noise of its own."""
        channels, lengths = network.last.out_channels, mask.sum(1).tolist()
        pairs = zip(lengths, draws.generators, strict=True)
        noise = pad_sequence([torch.randn(n, channels, generator=g) for n, g in pairs], True).to(told)

        def predict(x: Tensor, t: Tensor) -> Tensor:
            return network(x, t, told, mask, whole)

        return self.encoder.diffusion.sample(predict, noise, steps=self.sampling, clip=4.0)

    def lasting(self, names: Tensor, mask: Tensor, draws: Draws) -> Tensor:
        """Durations (N, P) of phonemes in frames."""
        logs = self.encoder.of_lasting.back(self.sampled(self.encoder.lasting, names, mask, draws))[..., 0]
        return logs.clamp(0, 6).exp().round().long()

    def speak(
        self, phones: Sequence[Tensor], prompts: Sequence[Tensor], draws: Draws, frames: Sequence[Tensor] | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Spectrograms (T, bands) of phonemes' numbers (P,) in the voices of prompts, and the frames (P,) that each
        phoneme lasts, which are drawn when not given."""
        names, mask = self.encoder.names(pad_sequence(list(phones), True)), there(phones)
        drawn = self.lasting(names, mask, draws)
        lasts = [each[: len(p)] for each, p in zip(drawn, phones, strict=True)] if frames is None else [*frames]
        told = lengthened(names, lasts)
        inside = there([told[n, : int(each.sum())] for n, each in enumerate(lasts)])
        voices = self.encoder.voice(self.encoder.of_sound(pad_sequence(list(prompts), True)), there(prompts))
        if not self.direct:
            told = self.sampled(self.encoder.meaning, told, inside, draws)
        mels = self.encoder.of_sound.back(self.sampled(self.encoder.sounding, told, inside, draws, voices))
        return [mel[: int(each.sum())] for mel, each in zip(mels, lasts, strict=True)], lasts

    def make(self, batch: SpeechBatch, draws: Draws) -> list[Made]:
        """Each line's phonemes in the voice of its sound.

        Raises:
            ValueError: a line without phonemes, or spectrograms with other bands.
        """
        bands = len(self.encoder.of_sound.mean)
        if batch.mels[0].shape[1] != bands:
            raise ValueError(f"this run learned from {bands} bands, and the inputs have {batch.mels[0].shape[1]}")
        silent = [row for row, phones in zip(batch.rows.tolist(), batch.phones, strict=True) if not phones]
        if silent:
            raise ValueError(f"utterance {silent[0]} has no phonemes that could be spoken; give phones and seconds")
        made, _ = self.speak([self.numbers(each, self.device) for each in batch.phones], batch.mels, draws)
        things = [[Speech(each.cpu().numpy()) for each in mels] for mels in (made, batch.mels)]
        rows = zip(batch.rows.tolist(), *things, batch.phones, strict=True)
        return [Made(row, {"": mine}, given=theirs, said={"phones": [*said]}) for row, mine, theirs, said in rows]
