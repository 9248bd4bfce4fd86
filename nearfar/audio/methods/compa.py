"""CompA-CLAP: sounds and captions that know in which order things happen and what belongs to what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.audio.captioned import CLAP_MEL, CaptionedMethod, Towers
from nearfar.audio.data.captions import CaptionedBatch
from nearfar.audio.expressions import FORMS, Choices, mistakes, render, sentence, size, truths
from nearfar.common.share import for_examples
from nearfar.encoders.mel import Mel
from nearfar.losses import composition_contrast
from nearfar.parts import LogitScale
from nearfar.training import Optimization
from nearfar.training.steps import Phase

STAGES = "contrast", "hard negatives", "modular"
CHANCES = 64
"""Numbers in [0, 1) that a row's sound and sentences are drawn with, besides those of the data: the largest form needs
less than 40, and the last says whether the row is put together."""


class Sentences(NamedTuple):
    """Sounds (N, T), a caption of each, and as many positives and negatives of each, of which some may be none."""

    waves: Tensor
    captions: list[str]
    positives: list[list[str]]
    negatives: list[list[str]]


class CompA(CaptionedMethod):
    """Ghosh et al., 2024, ICLR, arXiv 2310.08753.

    In three stages. First sounds and captions find each other, as in CLAP. Then every sound also has sentences that
    are wrong about it alone, of the same words in another order or bound otherwise, which the data bring
    (``negatives``). Last, new sounds are put together from the batch's, one after another and at once, by an expression
    from which sentences follow that are right (its parts, either order of what is at once) and wrong (an operator
    exchanged, what follows put first); see :mod:`nearfar.audio.expressions`. They are made from sounds that have no
    negatives, which are no compositions yet, where there are at least two.

    The encoder must hear in which order things come: with one that averages over time nothing can be learned.
    Departures from the released code: what is hidden from other sounds is left out of the softmax (see
    :func:`nearfar.losses.composition_contrast`), sounds are gathered from all ranks, and the stages are parts of one
    run on one collection, where the paper resumes from checkpoints on three; a share of each batch stays as it is in
    the last stage, lest what was learned before be forgotten.

    Args:
        encoder: network on spectrograms, by name or as a module.
        rate: samples a second; taken from the data when not given.
        mel: what spectrograms are made with.
        seconds: length of a stretch; shorter sounds are repeated.
        towers: the tower of captions, and the space that both share.
        temperature: at the start; it is learned, and kept at 0.01 or above.
        stages: share of the run that each of the three stages has; they sum to 1.
        negatives: sentences that are wrong about a sound which it has at most, at least 1.
        positives: further sentences that are right about it at most, in the last stage, at least 0.
        composed: share of sounds in the last stage that are put together, in [0, 1]; all in the paper.
        optimization: Adam with the released rate.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "htsat-tiny",
        *,
        rate: int | None = None,
        mel: Mel = CLAP_MEL,
        seconds: float = 10.0,
        towers: Towers = Towers(),
        temperature: float = 0.07,
        stages: Sequence[float] = (0.4, 0.3, 0.3),
        negatives: int = 3,
        positives: int = 3,
        composed: float = 0.5,
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=0.0, warmup=0.05),
    ) -> None:
        super().__init__(encoder, towers, rate, mel, seconds, optimization=optimization)
        if len(stages) != 3 or min(stages) < 0 or abs(sum(stages) - 1) > 1e-6:
            raise ValueError(f"stages are three shares of the run that sum to 1, got {tuple(stages)}")
        if negatives < 1 or positives < 0:
            raise ValueError(f"negatives must be at least 1 and positives at least 0, got {negatives} and {positives}")
        if not 0 <= composed <= 1:
            raise ValueError(f"composed is a share of the sounds, in [0, 1]; got {composed}")
        self.phases = tuple(Phase(name, share) for name, share in zip(STAGES, stages, strict=True) if share)
        self.counts = positives, negatives
        self.composed = composed
        self.scale = LogitScale(temperature)

    def views(self, batch: CaptionedBatch) -> Sentences:
        waves, captions = self.stretches(batch.sounds), self.one_of(batch.captions)
        none: list[list[str]] = [[] for _ in captions]
        if self.phase == "contrast":
            return Sentences(waves, captions, none, none)
        n, device = len(captions), waves.device
        numbers = CHANCES + self.counts[1]
        drawn = for_examples(lambda k: torch.rand(k, numbers, generator=self.generator, device=device), n)
        choices = [Choices(each) for each in drawn.tolist()]
        wrong = [choose.some(each, self.counts[1]) for each, choose in zip(batch.negatives, choices, strict=True)]
        found = Sentences(waves, captions, none, wrong)
        if self.phase == "modular":
            single = [row for row, each in enumerate(batch.negatives) if not each]
            parts = single if len(single) > 1 else [*range(n)]
            rows = [row for row, chance in enumerate(drawn[:, -1].tolist()) if chance < self.composed]
            made = [self._put_together(waves, captions, parts, choices[row]) for row in rows]
            found = found._replace(waves=waves.clone(), captions=[*captions])
            for row, new in zip(rows, made, strict=True):
                found.waves[row], found.captions[row], found.positives[row], found.negatives[row] = new
        return found

    def _put_together(
        self, waves: Tensor, captions: list[str], parts: list[int], choose: Choices
    ) -> tuple[Tensor, str, list[str], list[str]]:
        """A new sound of some of ``parts``, its caption, and what is right and wrong about it."""
        form = choose.some([form for form in FORMS if size(form) <= len(parts)] or [0], 1)[0]
        chosen = choose.some(parts, size(form))
        names = [captions[part] for part in chosen]
        right, wrong = (
            [sentence(each, names, choose) for each in choose.some(which, most)]
            for which, most in zip((truths(form), mistakes(form)), self.counts, strict=True)
        )
        wave = render(form, [waves[part] for part in chosen], waves.shape[1])
        return wave, sentence(form, names, choose), right, wrong

    def loss(self, views: Sentences) -> Tensor:
        n, kinds = len(views.captions), (views.positives, views.negatives)
        counts = {"contrast": (0, 0), "hard negatives": (0, self.counts[1]), "modular": self.counts}[self.phase]
        texts, masks = [*views.captions], []
        for rows, most in zip(kinds, counts, strict=True):
            # A row with fewer sentences than others has its caption again, which the masks take out.
            for caption, each in zip(views.captions, rows, strict=True):
                texts += [*each, *[caption] * (most - len(each))]
            there = [[number < len(each) for number in range(most)] for each in rows]
            masks.append(torch.tensor(there, device=views.waves.device).view(n, most))
        parts = self.encoder.embed_text(texts).split([n, n * counts[0], n * counts[1]])
        own = [part.view(n, most, part.shape[1]) for part, most in zip(parts[1:], counts, strict=True)]
        x, c, right, wrong, is_right, is_wrong = self.gather(self.encoder(views.waves), parts[0], *own, *masks)
        return composition_contrast(
            x,
            c,
            temperature=self.scale.temperature,
            positives=right,
            negatives=wrong,
            positive_mask=is_right.bool(),
            negative_mask=is_wrong.bool(),
        )

    def after_step(self) -> None:
        self.scale.clamp()
