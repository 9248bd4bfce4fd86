"""CLSR: contrastive latent space reconstruction for retrieval between sounds and texts."""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.audio.captioned import CLAP_MEL, Captioned, CaptionedMethod, Towers
from nearfar.encoders.mel import Mel
from nearfar.losses import clsr
from nearfar.parts import LogitScale
from nearfar.parts.heads import MLPHead
from nearfar.training import Optimization

Temperature = Literal["semantic", "learned", "fixed"]


class CLSR(CaptionedMethod):
    """Luo et al., 2023, ICTAI, arXiv 2309.08839.

    A sound and its caption find each other among the batch's, under temperatures that are higher for pairs which mean
    about the same; each has to be nearer to the other than to its own kind; and from either's place in the shared space
    a small network makes that of the other. The first two are :func:`nearfar.losses.clsr`, the third is the mean
    squared difference of the coordinates that were made and those that are there, which get no gradient from it:
    otherwise both could agree on one place. Different sounds with equal captions count as negatives of each other.

    No code was released. The paper names the parts; the rule of the temperature, what is reconstructed and the weights
    are our reading of it.

    Args:
        encoder: network on spectrograms, by name or as a module.
        rate: samples a second; taken from the data when not given.
        mel: what spectrograms are made with.
        seconds: length of a stretch; shorter sounds are repeated.
        towers: the tower of captions, and the space that both share.
        temperature: divides the cosines, above 0; at the start, where it is learned.
        adaptive: ``semantic`` raises it for pairs that mean about the same, ``learned`` learns one for all,
            ``fixed`` leaves it.
        adaptivity: by how much it is raised, in [0, 0.5); without effect on the others.
        intra_weight: of the contrast inside each modality, at least 0.
        reconstruction_weight: of the reconstruction, at least 0.
        optimization: AdamW with the rate of fine-tuning.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "cnn14",
        *,
        rate: int | None = None,
        mel: Mel = CLAP_MEL,
        seconds: float = 10.0,
        towers: Towers = Towers(),
        temperature: float = 0.07,
        adaptive: Temperature = "semantic",
        adaptivity: float = 0.3,
        intra_weight: float = 0.1,
        reconstruction_weight: float = 0.5,
        optimization: Optimization = Optimization("adamw", lr=1e-4, weight_decay=0.01, warmup=0.05),
    ) -> None:
        super().__init__(encoder, towers, rate, mel, seconds, optimization=optimization)
        if adaptive not in get_args(Temperature):
            raise ValueError(f"adaptive must be one of {', '.join(get_args(Temperature))}; got {adaptive!r}")
        if not reconstruction_weight >= 0:
            raise ValueError(f"reconstruction_weight must be at least 0, got {reconstruction_weight}")
        width = towers.dim
        self.text_of_sound, self.sound_of_text = (MLPHead(width, 2 * width, width, norm="none") for _ in range(2))
        self.scale = LogitScale(temperature).requires_grad_(adaptive == "learned")
        self.adaptivity = adaptivity if adaptive == "semantic" else 0.0
        self.intra_weight, self.reconstruction_weight = intra_weight, reconstruction_weight

    def loss(self, views: Captioned) -> dict[str, Tensor]:
        a, t, rows = self.gather(self.encoder(views.waves), self.encoder.embed_text(views.captions), views.rows)
        terms = clsr(
            a,
            t,
            temperature=self.scale.temperature,
            adaptivity=self.adaptivity,
            intra_weight=self.intra_weight,
            groups=rows,
        )
        made = F.mse_loss(self.text_of_sound(a), t.detach()) + F.mse_loss(self.sound_of_text(t), a.detach())
        return {**terms, "reconstruction": self.reconstruction_weight * made}

    def after_step(self) -> None:
        self.scale.clamp()
