"""RITUAL: random image transformations as a second opinion."""

from __future__ import annotations

from typing import get_args

import numpy as np
import torch
from torch import Tensor

from nearfar.common.randomness import derive_seed
from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Branch, Look
from nearfar.decoding.method import Decoder, Model, Writing
from nearfar.decoding.methods.vcd import VCD
from nearfar.decoding.transforms import Transformation, transformed
from nearfar.losses import contrast_logits

ALL: tuple[Transformation, ...] = get_args(Transformation)


class RITUAL(Decoder):
    """Woo et al., 2024, arXiv 2405.17821.

    The words for the picture and three times those for a randomly transformed copy of it, ADDED:
    ``s(picture) + w s(transformed)``, among words that are plausible with the picture. One of six transformations is
    drawn for each prompt, from its row and ``transform_seed``, and kept for all words.

    The weights sum to four, so that sampling is about as sharp as at a temperature of a quarter: compare with the model
    alone at ``writing.temperature`` 0.25 under the same constraint (``weight=0``), and with greedy decoding. Changed
    colours, flips and rotations change the truth of questions about colour and place: name fewer ``transformations``.

    Args:
        model: a vision-language model, as for :class:`nearfar.decoding.method.Decoder`.
        weight: w, of the transformed picture.
        alpha: words less plausible with the picture than this share of the best are never chosen, in [0, 1].
        transformations: from which one is drawn.
        transform_seed: of the transformations.
        contrast: also take away what a noisy picture says with this weight, as in :class:`VCD`; 0 for the paper's main
            form, and the weights of its combination are not certain.
        writing: how texts are continued; the paper samples at temperature 1.
    """

    needs = VCD.needs

    def __init__(
        self,
        model: Model | None = None,
        *,
        weight: float = 3.0,
        alpha: float = 0.1,
        transformations: tuple[Transformation, ...] = ALL,
        transform_seed: int = 0,
        contrast: float = 0.0,
        writing: Writing = Writing(sample=True),
    ) -> None:
        super().__init__(model, writing=writing)
        unknown = sorted(set(transformations) - set(ALL))
        if unknown or not transformations:
            raise ValueError(f"transformations must be among {', '.join(ALL)}; got {unknown or 'none'}")
        self.weight, self.alpha, self.transformations = weight, alpha, transformations
        self.seed, self.contrast = transform_seed, contrast

    def branches(self, batch: PromptBatch) -> list[Branch]:
        assert batch.images is not None
        found = []
        for image, row in zip(batch.images.cpu().numpy(), batch.rows.tolist(), strict=True):
            rng = np.random.default_rng(derive_seed(self.seed, "ritual", row))
            found.append(transformed(image, str(rng.choice(list(self.transformations))), rng))
        second = self.whole(batch._replace(images=torch.as_tensor(np.stack(found))))
        if not self.contrast:
            return [self.whole(batch), second]
        return [self.whole(batch), second, VCD(self.lm, writing=self.writing).branches(batch)[1]]  # type: ignore[arg-type]

    def combine(self, looks: list[Look]) -> Tensor:
        own = looks[0].logits
        found = own
        if self.contrast:
            found = contrast_logits(own, looks[2].logits, weight=self.contrast)
        found = contrast_logits(found, looks[1].logits, weight=self.weight, form="complement")
        kept = contrast_logits(own, own, weight=0.0, alpha=self.alpha, min_keep=self.least)
        return found.masked_fill(kept == -torch.inf, -torch.inf)
