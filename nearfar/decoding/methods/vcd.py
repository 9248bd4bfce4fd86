"""VCD: visual contrastive decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from nearfar.common.randomness import derive_seed
from nearfar.decoding.data.prompts import PromptBatch
from nearfar.decoding.engine import Branch, Look
from nearfar.decoding.method import Decoder, Model, Writing
from nearfar.decoding.pictures import pixels
from nearfar.losses import contrast_logits, diffusion_noise


class VCD(Decoder):
    """Leng et al., 2023, CVPR 2024, arXiv 2311.16922.

    What the picture says less what a picture drowned in noise says, ``(1 + w) s(picture) - w s(noisy)``, among words
    that are plausible with the picture. The noise is put on the normalised pixels and drawn once for each prompt, from
    its row and ``noise_seed``. The paper calls the weight alpha and the constraint beta.

    The published gains are over sampling, of which the constraint alone takes the tail away: compare with
    ``weight=0``, which is the constraint alone, and with greedy decoding.

    Args:
        model: a vision-language model, as for :class:`nearfar.decoding.method.Decoder`.
        weight: w: 1 in the released scripts.
        alpha: words less plausible with the picture than this share of the best are never chosen, in [0, 1].
        noise_step: how far the noise goes, from 0 to 999.
        noise_seed: of the noise.
        writing: how texts are continued; the paper samples at temperature 1.
    """

    needs: ClassVar[Mapping[str, str]] = {"images": "contrasts what is seen in a picture"}

    def __init__(
        self,
        model: Model | None = None,
        *,
        weight: float = 1.0,
        alpha: float = 0.1,
        noise_step: int = 500,
        noise_seed: int = 0,
        writing: Writing = Writing(sample=True),
    ) -> None:
        super().__init__(model, writing=writing)
        self.weight, self.alpha, self.noise_step, self.noise_seed = weight, alpha, noise_step, noise_seed

    def branches(self, batch: PromptBatch) -> list[Branch]:
        assert batch.images is not None
        values = pixels(self.lm.model, batch.images)
        return [self.whole(batch, values), self.whole(batch, self.noisy(values, batch.rows))]

    def noisy(self, values: Tensor, rows: Tensor) -> Tensor:
        """Pixels (N, 3, S, S) under the noise of their rows."""
        drawn = [
            torch.randn(values.shape[1:], generator=torch.Generator().manual_seed(derive_seed(self.noise_seed, row)))
            for row in rows.tolist()
        ]
        return diffusion_noise(values, torch.stack(drawn).to(values), step=self.noise_step)

    def combine(self, looks: list[Look]) -> Tensor:
        clear, noisy = (look.logits for look in looks)
        return contrast_logits(clear, noisy, weight=self.weight, alpha=self.alpha, min_keep=self.least)
