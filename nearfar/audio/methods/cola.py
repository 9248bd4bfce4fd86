"""COLA: contrastive learning of general-purpose audio representations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nearfar.audio.data.sounds import SoundBatch
from nearfar.audio.method import SoundMethod
from nearfar.common.share import for_examples
from nearfar.encoders.mel import Mel
from nearfar.losses import info_nce
from nearfar.training import Optimization


class COLA(SoundMethod):
    """Saeed, Grangier and Zeghidour, 2020, ICASSP 2021, arXiv 2010.10915.

    A stretch of a recording finds another stretch of the same recording among those of the batch's other recordings, in
    one direction, by a learned product :math:`a^\\top W p` of heads that end in a tanh. There is no temperature and no
    normalisation. The encoder without the head is kept.

    As released (google-research, ``cola/``): sounds are scaled to squares that sum to 1, noise is added to the second
    stretch alone, and the head's layer norm has Keras' epsilon of 1e-3. Sounds shorter than ``seconds`` give the same
    stretch twice, which makes the task trivial; take shorter stretches for them.

    Args:
        encoder: network on spectrograms, by name or as a module.
        rate: samples a second; taken from the data when not given.
        mel: what spectrograms are made with.
        seconds: length of a stretch.
        projection_dim: width of the head.
        similarity: ``bilinear``, or ``cosine`` with ``temperature`` and a head of one linear layer.
        temperature: divides the cosines, above 0; without effect on ``bilinear``.
        noise: standard deviation of what is added to the second stretch, at least 0.
        optimization: Adam with the paper's rate; the released code has 1e-3.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "efficientnet-b0",
        *,
        rate: int | None = None,
        mel: Mel = Mel(fft=1024),
        seconds: float = 1.0,
        projection_dim: int = 512,
        similarity: Literal["bilinear", "cosine"] = "bilinear",
        temperature: float = 0.2,
        noise: float = 0.001,
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(encoder, rate, mel, seconds, unit=True, optimization=optimization)
        if similarity not in ("bilinear", "cosine"):
            raise ValueError(f"similarity must be 'bilinear' or 'cosine', got {similarity!r}")
        self.head = nn.Sequential(nn.Linear(self.features, projection_dim))
        self.similarity = similarity
        if similarity == "bilinear":
            self.head.extend([nn.LayerNorm(projection_dim, eps=1e-3), nn.Tanh()])
            self.product = nn.Parameter(0.05 * torch.randn(projection_dim, projection_dim))
        self.temperature = temperature
        self.noise = noise

    def views(self, batch: SoundBatch) -> tuple[Tensor, Tensor]:
        anchor, positive = self.segments(batch, 2)
        samples, device = positive.shape[1], positive.device
        drawn = for_examples(lambda n: torch.randn(n, samples, generator=self.generator, device=device), len(positive))
        return anchor, positive + self.noise * drawn

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        a, p = self.gather(*self.head(self.encoder(torch.cat(views))).chunk(2))
        if self.similarity == "bilinear":
            return info_nce(a @ self.product, p, temperature=1.0, normalize=False)
        return info_nce(a, p, temperature=self.temperature)
