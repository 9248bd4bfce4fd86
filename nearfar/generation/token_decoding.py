"""How the next token of a picture is drawn from logits with its caption and without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from nearfar.generation.discrete import likely
from nearfar.losses import contrast_logits


@dataclass(frozen=True)
class Decoding:
    """How the next token is drawn.

    Args:
        mode: ``sample`` the conditional model, ``guided`` (classifier-free guidance), or ``contrast`` (CD-K).
        guidance: g of guidance; 1 samples the conditional model.
        alpha, rank: what is plausible in CD-K; see :func:`nearfar.losses.plausible`.
        weight: w of what is taken away in CD-K; the paper's is 1.
        temperature: scores are divided by it, above 0.
        top_p: of the chances the likeliest up to this share are drawn from, in (0, 1].
    """

    mode: Literal["sample", "guided", "contrast"] = "contrast"
    guidance: float = 3.0
    alpha: float = 0.1
    rank: int = 10
    weight: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in ("sample", "guided", "contrast"):
            raise ValueError(f"mode must be sample, guided or contrast, got {self.mode!r}")
        if self.temperature <= 0 or not 0 < self.top_p <= 1 or not 0 <= self.alpha <= 1 or self.rank < 1:
            raise ValueError(
                "temperature must be above 0, top_p in (0, 1], alpha in [0, 1] and rank at least 1, got "
                f"{self.temperature}, {self.top_p}, {self.alpha} and {self.rank}"
            )

    @property
    def streams(self) -> int:
        """How often a token is looked at: with its caption, and without."""
        return 1 if self.mode == "sample" else 2

    def chances(self, told: Tensor, untold: Tensor | None = None) -> Tensor:
        """(B, K) probabilities of logits (B, K) with the caption and without."""
        found = told
        if untold is not None and self.mode == "guided":
            found = contrast_logits(told, untold, weight=self.guidance - 1)
        elif untold is not None:
            found = contrast_logits(
                told, untold, weight=self.weight, form="difference", alpha=self.alpha, rank=self.rank
            )
        logs = (found / self.temperature).log_softmax(-1)
        return likely(logs[..., None], self.top_p)[..., 0].exp()
