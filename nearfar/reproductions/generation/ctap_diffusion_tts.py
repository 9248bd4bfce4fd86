"""CTAP with three diffusions: few written-down recordings are enough, and durations are drawn, not averaged."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nearfar.generation.data.speech import speech
from nearfar.generation.method import Draws
from nearfar.generation.methods.ctap_diffusion_tts import CTAPDiffusion
from nearfar.generation.speaking import there
from nearfar.generation.speech_diffusions import SpeechViews
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction

STEPS, COUNT, WRITTEN = 400, 1000, 0.1


class Averaged(CTAPDiffusion):
    """Spectrograms straight from phonemes, each of which lasts as long as it does on average."""

    def lasting_loss(self, names: Tensor, views: SpeechViews) -> Tensor:
        mask = there(views.frames)
        logs = self.encoder.of_lasting(pad_sequence(views.frames, True).clamp_min(1).float().log()[..., None])
        return (self.expected(names, mask) - logs).square()[mask].mean()

    def expected(self, names: Tensor, mask: Tensor) -> Tensor:
        """The diffusion's network, asked for durations themselves."""
        level = torch.zeros(len(names), dtype=torch.long, device=names.device)
        return self.encoder.lasting(torch.zeros_like(names[..., :1]), level, names, mask)

    def lasting(self, names: Tensor, mask: Tensor, draws: Draws) -> Tensor:
        return self.encoder.of_lasting.back(self.expected(names, mask))[..., 0].clamp(0, 6).exp().round().long()


def run(seed: int) -> dict[str, dict[str, float]]:
    data = speech(COUNT, seed, WRITTEN)
    found = {}
    facts = dict(data.facts)
    for name, cls, direct in (("ctap", CTAPDiffusion, False), ("direct", Averaged, True)):
        method = build("ctap-diffusion-tts", data, seed, cls, direct=direct, **facts)
        assert isinstance(method, CTAPDiffusion)
        if not direct:
            found["untrained"] = dict(method.eval().evaluate(data, seed=seed))
        train("ctap-diffusion-tts", method.train(), data, seed, steps=STEPS)
        found[name] = dict(method.evaluate(data, seed=seed))
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{COUNT:,} utterances of drawn spectra (20 bands, ten phonemes, 20 voices) of which {WRITTEN:.0%} have
    their phonemes written down; 60 by 4 other voices are spoken after a prompt of their voice. {STEPS} steps of 16
    utterances, Adam 3e-3, diffusions of 100 levels sampled in 20 steps, for either arm; CTAP has the first 30% of its
    own. "Direct" makes spectrograms of repeated phonemes with the same denoiser, from written-down utterances alone;
    its durations are those that a regression with the same network expects. Distortion is measured in true
    durations.""",
    claims=(
        Claim(
            "Drawn durations are distributed more like true ones than expected ones are",
            "ctap",
            "direct",
            "duration distance",
            better="lower",
        ),
        Claim(
            "With few utterances written down, spectrograms are nearer to the true ones than straight from phonemes",
            "ctap",
            "direct",
            "mel distortion",
            better="lower",
        ),
        Claim("A frame finds its phoneme after CTAP", "ctap", "untrained", "phone retrieval", role="sanity"),
    ),
)
