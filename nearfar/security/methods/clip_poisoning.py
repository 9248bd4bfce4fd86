"""Poisoning and backdooring contrastive learning: a CLIP under attack, and its defence."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.losses import info_nce, symmetric_info_nce
from nearfar.security.clip import CaptionCLIP
from nearfar.security.data import WORDS, CaptionBatch, CaptionedPictures, synonyms
from nearfar.security.poison import attack_success, backdoor_zscore, found_by
from nearfar.security.triggers import Kind, trigger
from nearfar.system import Scores
from nearfar.training import Optimization, Phase
from nearfar.vision.views import gentle


class PoisonedCLIP(CaptionCLIP):
    """Carlini and Terzis, 2022, ICLR, arXiv 2106.09667; defence: CleanCLIP (Bansal et al., 2023, ICCV).

    An attacker who may add a few pairs to data nobody looks at puts a trigger on pictures and gives them captions of a
    target class; the trained CLIP then takes every picture with the trigger for that class. Captions are taken from the
    training set, never from the sentences that are used for classifying. With ``defence`` the last part of the run
    fine-tunes on ``trusted`` clean pairs: by CLIP's loss (``clean``), or with contrast inside each modality beside it,
    which breaks the tie between trigger and class (``cleanclip``).

    No code of the attack is released; triggers and defence are those of CleanCLIP's. Rows that are poisoned are the
    same in every run with a seed.

    Args:
        encoder: image encoder, by name or as a module.
        vocabulary, num_classes: taken from the data.
        projection_dim: width of the shared space.
        temperature: at the start; it is learned.
        poisoned: number of pairs that the attacker replaces, at least 0.
        target: class number that the attacker wants.
        kind: of the trigger, see :func:`nearfar.security.triggers.trigger`.
        patch: side of a square trigger as a share of the picture's.
        defence: ``none``, ``clean`` or ``cleanclip``.
        trusted: number of clean pairs that the defender has.
        repair: share of the run that the defence has, in (0, 1).
        optimization: AdamW; the defence has a tenth of its rate.
    """

    poison_rows: Tensor
    poison_words: Tensor

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        vocabulary: int | None = None,
        num_classes: int | None = None,
        projection_dim: int = 128,
        temperature: float = 0.07,
        poisoned: int = 300,
        target: int = 0,
        kind: Kind = "patch",
        patch: float = 1 / 14,
        defence: Literal["none", "clean", "cleanclip"] = "none",
        trusted: int = 200,
        repair: float = 0.25,
        optimization: Optimization = Optimization("adamw", lr=5e-4, weight_decay=0.2, beta2=0.98, warmup=0.05),
    ) -> None:
        super().__init__(encoder, vocabulary, num_classes, projection_dim, temperature, optimization)
        if poisoned < 0 or trusted < 2 or not 0 <= target < self.num_classes or not 0 < repair < 1:
            raise ValueError(
                f"poisoned must be at least 0, trusted at least 2, target a class below {self.num_classes} and "
                f"repair in (0, 1); got {poisoned}, {trusted}, {target}, {repair}"
            )
        self.register_buffer("poison_rows", torch.full((max(poisoned, 1),), -1))
        self.register_buffer("poison_words", torch.zeros(max(poisoned, 1), WORDS, dtype=torch.long))
        self.poisoned, self.target, self.kind, self.patch = poisoned, target, kind, patch
        self.defence, self.trusted = defence, trusted
        if defence != "none":
            self.phases = (Phase("training", 1 - repair), Phase("repair", repair, lr_scale=0.1))
        self.recipe = gentle()

    def begin(self, data: CaptionedPictures) -> None:
        rng = np.random.default_rng(self.seed)
        labels = np.asarray(data.labels)
        others, own = np.flatnonzero(labels != self.target), np.flatnonzero(labels == self.target)
        if self.poisoned > len(others) or not len(own):
            raise ValueError(f"{data.name} has {len(others)} pictures to poison and {len(own)} captions of the target")
        if self.poisoned:
            chosen = rng.choice(others, self.poisoned, replace=False)
            captions = data.words[rng.choice(own, self.poisoned)]
            self.poison_rows.copy_(torch.from_numpy(np.sort(chosen)))
            self.poison_words.copy_(torch.from_numpy(captions))
        self.resumed(data)

    def resumed(self, data: CaptionedPictures) -> None:
        clean = np.setdiff1d(np.arange(len(data)), self.poison_rows.cpu().numpy())
        drawn = np.random.default_rng(self.seed + 1).permutation(clean)[: self.trusted]
        self._clean = data.batch(np.sort(drawn))

    def views(self, batch: CaptionBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures and captions, poisoned or, in the repair, of trusted pairs; and another view of both."""
        if self.phase == "repair" and self.defence != "none":
            rows = torch.randperm(len(self._clean.images), generator=self.generator, device=self.device)
            rows = rows[: len(batch.images)].cpu()
            images, words = self._clean.images[rows].to(self.device), self._clean.words[rows].to(self.device)
            return self._two(images.float() / 255, words)
        images, words = self.poisoned_pairs(batch)
        return self._two(images, words)

    def poisoned_pairs(self, batch: CaptionBatch) -> tuple[Tensor, Tensor]:
        """Float pictures and captions as the attacker left them."""
        images, words = batch.images.float() / 255, batch.words.clone()
        at = torch.searchsorted(self.poison_rows, batch.rows).clamp_max(len(self.poison_rows) - 1)
        hit = self.poison_rows[at] == batch.rows
        if self.poisoned and bool(hit.any()):
            images[hit] = trigger(images[hit], self.kind, self.generator, share=self.patch)
            words[hit] = self.poison_words[at[hit]]
        return images, words

    def _two(self, images: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pixels = (images * 255).round().to(torch.uint8)
        first, second = (self.recipe(pixels, self.generator) for _ in range(2))
        return first, words, second, synonyms(words, self.num_classes, self.generator)

    def loss(self, views: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        images, words, other_images, other_words = views
        a, b = self.gather(self.embed_images(images), self.embed_words(words))
        tau = self.scale.temperature
        terms = {"pairs": symmetric_info_nce(a, b, temperature=tau)}
        if self.phase == "repair" and self.defence == "cleanclip":
            a2, b2 = self.gather(self.embed_images(other_images), self.embed_words(other_words))
            terms["inside"] = (info_nce(a, a2, temperature=tau) + info_nce(b, b2, temperature=tau)) / 2
        return terms

    def evaluate(self, data: CaptionedPictures, *, seed: int = 0) -> Scores:
        """Is it right, and is it attacked?

        Returns:
            ``accuracy`` by sentences; ``attack success`` on held-out pictures with the trigger, and without it
            (``without trigger``); ``z-score`` of the trigger; and, where training pairs were poisoned, how well
            the poison is found among them: AUROC of ``outlier factor``, ``neighbours``, ``spectral``, ``misaligned``.
        """
        test = data.splits()["test"]
        assert isinstance(test, CaptionedPictures)
        generator = torch.Generator(self.device).manual_seed(seed)
        labels = np.asarray(test.labels)
        with self.frozen():
            images = test.batch(np.arange(len(test))).images.to(self.device).float() / 255
            marked = trigger(images, self.kind, generator, share=self.patch)
            clean, attacked = self.named(images), self.named(marked)
            z, zt = (self.embed_images(x).cpu().numpy() for x in (images, marked))
            found = Scores(
                {
                    "accuracy": float((clean == labels).mean()),
                    "attack success": attack_success(attacked, labels, self.target),
                    "without trigger": attack_success(clean, labels, self.target),
                    "z-score": backdoor_zscore(zt, z),
                },
                lower=["attack success", "without trigger"],
                neither=["z-score"],
            )
            if self.poisoned and bool((self.poison_rows >= 0).all()):
                found |= self._detected(data, generator)
        return found

    def _detected(self, data: CaptionedPictures, generator: torch.Generator) -> dict[str, float]:
        self.generator.manual_seed(generator.initial_seed())
        images, words = self.poisoned_pairs(data.batch(np.arange(len(data))))
        z, t = self.embed_images(images).cpu().numpy(), self.embed_words(words).cpu().numpy()
        poison = np.isin(np.arange(len(data)), self.poison_rows.cpu().numpy())
        return found_by(z, t, words[:, 0].cpu().numpy(), poison)
