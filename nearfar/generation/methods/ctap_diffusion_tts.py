"""CTAP and three diffusions: speech from phonemes of which few recordings have any written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nearfar.common.share import for_examples
from nearfar.generation.data.speech import Speech, SpeechBatch
from nearfar.generation.made import Made
from nearfar.generation.method import BATCH, Draws, Generates
from nearfar.generation.speaking import Denoiser, Speaker, lengthened, there
from nearfar.generation.writing import asked
from nearfar.losses import info_nce
from nearfar.parts.scale import LogitScale
from nearfar.sources.data import Data, in_order
from nearfar.system import Scores
from nearfar.training import Method, Optimization, Phase
from nearfar.training.embed import to_device


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


class CTAPDiffusion(Generates, Method):  # type: ignore[misc]
    r"""High-fidelity speech synthesis with minimal supervision (Qiang et al., 2023, arXiv 2309.15512), on contrastive
    token-acoustic pretraining (arXiv 2309.00424).

    First CTAP: an encoder S of spectrograms and an encoder P of phonemes, each repeated for the frames that it lasts,
    must find each other frame by frame among the frames of the batch (:func:`nearfar.losses.info_nce`, both ways, with
    a learned temperature). Adjacent frames of one phoneme are each other's negatives in this; ``same_phoneme`` shares
    the target among all frames of the phoneme instead.

    Then S stands still, and three diffusions learn side by side, each :math:`\| \epsilon - \hat\epsilon(x_t, t, c)
    \|^2`: logarithms of durations from phonemes; standardised frames of S from repeated phonemes; spectrograms from
    frames of S and a vector of a prompt by the same speaker. Only the first two need phonemes, so that recordings that
    nobody has written down teach the third. Durations and prosody are drawn, not averaged.

    No code was released; the sizes, the number of levels and the denoisers (gated convolutions) are ours. The released
    description's joint decoder of CTAP is left out: the third diffusion decodes. Sounds are made by Griffin and Lim's
    rounds in place of a trained vocoder.

    ``nearfar generate RUN LINES.jsonl -o OUT`` speaks each line's ``phones`` in the voice of its ``audio``.

    Args:
        phones: every phoneme, from the data when not given.
        bands: of the spectrograms, from the data when not given.
        sizes: of the networks.
        temperature: of the contrast at the start, above 0.
        same_phoneme: whether frames of one phoneme are targets of each other.
        window: frames of each utterance that take part in the contrast, drawn anew in each step, at least 2.
        contrast: share of the run that belongs to CTAP, in (0, 1).
        levels: of noise.
        sampling: steps of each diffusion when speaking.
        direct: spectrograms from repeated phonemes, without CTAP and from written-down utterances alone: the baseline.
        optimization: Adam.
    """

    verbs = ("generates",)
    takes = SpeechBatch
    can_collapse = False

    def __init__(
        self,
        phones: tuple[str, ...] | None = None,
        bands: int | None = None,
        *,
        sizes: Sizes = Sizes(),
        temperature: float = 0.07,
        same_phoneme: bool = False,
        window: int = 48,
        contrast: float = 0.4,
        levels: int = 1000,
        sampling: int = 50,
        direct: bool = False,
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=0.0, clip=1.0),
    ) -> None:
        super().__init__(optimization)
        if not phones or not bands:
            raise ValueError("CTAP needs the bands of spectrograms and phonemes, of which none is known")
        if window < 2 or not 0 < contrast < 1:
            raise ValueError(f"window must be at least 2 and contrast in (0, 1), got {window} and {contrast}")
        self.number = {phone: n + 1 for n, phone in enumerate(phones)}
        self.encoder: Speaker = Speaker(len(phones), bands, sizes.dim, sizes.width, sizes.layers, levels)
        if direct:
            self.encoder.sounding = Denoiser(bands, sizes.width, sizes.width, 6, whole=sizes.width)
        self.encoder.diffusion.times(sampling)  # raises early on a bad value
        self.scale = LogitScale(temperature)
        self.same_phoneme, self.window, self.sampling, self.direct = same_phoneme, window, sampling, direct
        self.phases = (Phase("contrast", 1e-9 if direct else contrast), Phase("diffusion"))

    def begin_phase(self, phase: str, data: Data) -> None:
        """Measure what is standardised, once S stands still."""
        if phase != "diffusion":
            return
        mels, meanings, lasting = [], [], []
        for _, batch in in_order(data.sample(256), BATCH):
            batch = to_device(batch, self.device)
            with self.frozen():
                padded, mask = pad_sequence(batch.mels, True), there(batch.mels)
                meanings.append(self.encoder.sound(padded, mask)[mask])
            mels += batch.mels
            lasting += batch.frames
        self.encoder.of_sound.measure(torch.cat(mels))
        self.encoder.of_meaning.measure(torch.cat(meanings))
        self.encoder.of_lasting.measure(torch.cat(lasting).float().log()[:, None])

    def views(self, batch: SpeechBatch) -> SpeechViews:
        """The batch's utterances, each with another one by its speaker, or itself, as a prompt."""
        draws = for_examples(
            lambda n: torch.rand(n, generator=self.generator, device=batch.rows.device), len(batch.rows)
        )
        prompts = []
        for n, share in enumerate(draws.tolist()):
            mates = [n] if batch.speakers[n] < 0 else (batch.speakers == batch.speakers[n]).nonzero()[:, 0].tolist()
            mates = [each for each in mates if each != n] or [n]
            prompts.append(batch.mels[mates[int(share * len(mates))]])
        known = [n for n, phones in enumerate(batch.phones) if phones]
        numbers = [self.numbers(batch.phones[n], batch.rows.device) for n in known]
        places = torch.tensor(known, dtype=torch.long, device=batch.rows.device)
        return SpeechViews(batch.mels, prompts, places, numbers, [batch.frames[n] for n in known])

    def numbers(self, phones: Sequence[str], device: Any) -> Tensor:
        """Phonemes as numbers from 1; 0 is one that training never saw."""
        return torch.tensor([self.number.get(phone, 0) for phone in phones], device=device)

    def loss(self, views: SpeechViews) -> dict[str, Tensor]:
        mels, mask = pad_sequence(views.mels, True), there(views.mels)
        if self.phase == "contrast":
            return {"contrast": self.contrasted(mels, mask, views)}
        with torch.no_grad():
            meanings = self.encoder.of_meaning(self.encoder.sound(mels, mask))
            sounds = self.encoder.of_sound(mels)
        known = views.known
        prompts = self.encoder.voice(self.encoder.of_sound(pad_sequence(views.prompts, True)), there(views.prompts))
        terms = {}
        if len(known):
            names = self.encoder.names(pad_sequence(views.phones, True))
            repeated = self.fitted(lengthened(names, views.frames), mask)
            terms["lasting"] = self.lasting_loss(names, views)
            if self.direct:
                told = repeated, mask[known], prompts[known]
                return {**terms, "sounding": self.noise_loss(self.encoder.sounding, sounds[known], *told)}
            terms["meaning"] = self.noise_loss(self.encoder.meaning, meanings[known], repeated, mask[known])
        elif self.direct:
            return {"nothing": 0.0 * prompts.sum()}
        terms["sounding"] = self.noise_loss(self.encoder.sounding, sounds, meanings, mask, prompts)
        return terms

    def fitted(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Rows (W, T', D) with zeros up to the T frames of a batch of which some may be longer."""
        return F.pad(rows, (0, 0, 0, mask.shape[1] - rows.shape[1]))

    def contrasted(self, mels: Tensor, mask: Tensor, views: SpeechViews) -> Tensor:
        """CTAP's loss on frames drawn from the utterances whose phonemes are known."""
        if not len(views.known):
            return 0.0 * self.scale.log_scale
        mels, mask = mels[views.known], mask[views.known]
        spoken = lengthened(pad_sequence(views.phones, True)[..., None], views.frames)[..., 0]
        spoken = F.pad(spoken, (0, mask.shape[1] - spoken.shape[1]))
        order = torch.rand(mask.shape, generator=self.generator, device=mask.device).masked_fill(~mask, -1.0)
        chosen = torch.zeros_like(mask).scatter(1, order.topk(min(self.window, mask.shape[1]), 1).indices, True) & mask
        sound, text = (
            self.encoder.sound(mels, mask)[chosen],
            self.encoder.text(self.encoder.phones(spoken), mask)[chosen],
        )
        heat = self.scale.temperature
        if not self.same_phoneme:
            return info_nce(sound, text, temperature=heat, symmetric=True)
        same = (spoken[chosen][:, None] == spoken[chosen]).to(sound)
        same = same / same.sum(1, keepdim=True)
        ways = [info_nce(a, b, temperature=heat, soft_targets=same) for a, b in ((sound, text), (text, sound))]
        return torch.stack(ways).mean()

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

    def after_step(self) -> None:
        self.scale.clamp()

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

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Of held-out utterances whose phonemes are known, each spoken after a prompt by its speaker:

        - ``mel distortion``: root mean squared error of spectrograms that are spoken in the true durations, on the
          scale of their channels' deviations;
        - ``duration distance``: Wasserstein's, of the logarithms of drawn durations from those of the true ones; lower
          is better for both;
        - ``phone retrieval``: how often a frame of S has a frame of its own phoneme nearest among the batch's frames
          of P; not of a ``direct`` run.

        Empty where no held-out utterance has its phonemes written down.
        """
        errors, drawn, true, right = [], [], [], []
        for _, batch in in_order(asked(data).sample(64), BATCH):
            batch = to_device(batch, self.device)
            views = self.views(batch)
            if not len(views.known):
                continue
            rows = views.known.tolist()
            mels, prompts = ([each[n] for n in rows] for each in (views.mels, views.prompts))
            with self.frozen():
                made, _ = self.speak(views.phones, prompts, Draws(seed, batch.rows[views.known]), views.frames)
                _, lasts = self.speak(views.phones, prompts, Draws(seed, batch.rows[views.known]))
                right.append(self.retrieved(mels, views))
            scale = self.encoder.of_sound.deviation
            errors += [((a - b) / scale).square().mean().sqrt().item() for a, b in zip(made, mels, strict=True)]
            drawn += lasts
            true += views.frames
        if not errors:
            return Scores()
        logs = [torch.cat(each).float().log().cpu().numpy() for each in (drawn, true)]
        found = {"mel distortion": float(np.mean(errors)), "duration distance": float(wasserstein_distance(*logs))}
        scores = Scores(found, lower=[*found])
        return scores if self.direct else scores.add(Scores({"phone retrieval": float(torch.cat(right).mean())}))

    def retrieved(self, mels: Sequence[Tensor], views: SpeechViews) -> Tensor:
        """(frames,) 0 or 1: whether the nearest frame of P is of the frame's own phoneme."""
        mask = there(mels)
        spoken = lengthened(pad_sequence(views.phones, True)[..., None], views.frames)[..., 0]
        sound = F.normalize(self.encoder.sound(pad_sequence(list(mels), True), mask)[mask], dim=1)
        text = F.normalize(self.encoder.text(self.encoder.phones(spoken), mask)[mask], dim=1)
        phones = spoken[mask]
        return (phones[(sound @ text.T).argmax(1)] == phones).float()
