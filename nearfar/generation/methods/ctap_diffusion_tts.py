"""CTAP and three diffusions: speech from phonemes of which few recordings have any written down."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nearfar.common.share import for_examples
from nearfar.generation.data.speech import SpeechBatch, prompts_of
from nearfar.generation.method import BATCH
from nearfar.generation.speaking import Denoiser, lengthened, there
from nearfar.generation.speech_diffusions import Sizes, SpeakingMethod, SpeechViews
from nearfar.generation.spoken import speech_scores
from nearfar.losses import info_nce
from nearfar.parts.scale import LogitScale
from nearfar.sources.data import Data, in_order
from nearfar.system import Scores
from nearfar.training import Optimization, Phase
from nearfar.training.embed import to_device


class CTAPDiffusion(SpeakingMethod):
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
        super().__init__(phones, bands, sizes, levels, sampling, optimization)
        if window < 2 or not 0 < contrast < 1:
            raise ValueError(f"window must be at least 2 and contrast in (0, 1), got {window} and {contrast}")
        if direct:
            self.encoder.sounding = Denoiser(len(self.encoder.of_sound.mean), sizes.width, sizes.width, 6, sizes.width)
        self.scale = LogitScale(temperature)
        self.same_phoneme, self.window, self.direct = same_phoneme, window, direct
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
        prompts = prompts_of(batch, draws.tolist())
        known = [n for n, phones in enumerate(batch.phones) if phones]
        numbers = [self.numbers(batch.phones[n], batch.rows.device) for n in known]
        places = torch.tensor(known, dtype=torch.long, device=batch.rows.device)
        return SpeechViews(batch.mels, prompts, places, numbers, [batch.frames[n] for n in known])

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

    def after_step(self) -> None:
        self.scale.clamp()

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """See :func:`nearfar.generation.spoken.speech_scores`."""
        return speech_scores(self, data, seed=seed)
