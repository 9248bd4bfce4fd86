"""ZeroVL: CLIP with limited resources, by batches of one source, mixtures on the toss of a coin, and micro-batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common.share import own_rows, whole_batch
from nearfar.encoders.text import Pooling
from nearfar.losses import info_nce, symmetric_info_nce
from nearfar.multimodal.method import DualEncoder, PairBatch
from nearfar.multimodal.pair_method import PairMethod
from nearfar.sources.order import by_source
from nearfar.training import Data, Optimization
from nearfar.training.gradient_cache import in_chunks

LEAST, MOST = 0.001, 0.5
"""Bounds of the temperature."""


class Views(NamedTuple):
    """Pictures and captions, the ``share`` that each keeps of its own in the step's mixture (1 for none), whether the
    mixture is one of ``texts``, and in whose rows each looks for the rest (N,)."""

    images: Tensor
    captions: list[str]
    share: float
    texts: bool
    partners: Tensor


class ZeroVL(PairMethod):
    r"""Cui et al., 2022, arXiv 2112.09331; the released ``zerovl_dga.yaml`` and ``clip_bsgs_runner.py``.

    .. math::
        L = \alpha L_{CLIP}(i \to i) + (1 - \alpha) L_{CLIP}(i \to p(i)), \qquad \alpha \sim \mathrm{Beta}(\beta, \beta)

    CLIP's loss and three things that make it cheap. *Debiased sampling*: all pairs of a step come from one source,
    drawn by its size, so that no negative is told by the look of its source; a table's column ``source`` names them.
    *Coin-flip mixup*: each step mixes either pictures or projected texts, before they are normalised, with those of
    another pair, and pairs look for both. *Decoupled accumulation*: the towers see ``micro_batch`` pairs at a time and
    see them again where their gradient is due (:mod:`nearfar.training.gradient_cache`), which gives the gradient of the
    whole batch; towers with batch norm are refused, unless the batch is no larger than that. Partners are the
    micro-batch reversed.

    The release logs the loss without the mixture, this one the loss that it minimises. Sources with fewer pairs than a
    step are joined. The release also varies pictures by AutoAugment.

    Args:
        image_encoder: image tower, by name or as a module.
        text_encoder: text tower, by name or as a ``TextEncoder``.
        projection_dim: width of the shared space.
        debiased: whether a step's pairs come from one source, where sources are known.
        mixup: of the beta distribution of shares, above 0; 0 for no mixtures.
        micro_batch: pairs that the towers see at a time, and within which pairs are mixed.
        temperature: divides the cosines, in [0.001, 0.5].
        learned: whether the temperature itself is a parameter; outside its bounds it gets no gradient.
        pooling: how the text tower's token states become one vector.
        max_length: tokens kept per caption.
        crop_scale: smallest share of the image's area that the random square crop keeps, in (0, 1].
        optimization: AdamW with the released settings.
    """

    def __init__(
        self,
        image_encoder: str | nn.Module = "vit-b16",
        text_encoder: str | nn.Module = "small-bert",
        *,
        projection_dim: int = 512,
        debiased: bool = True,
        mixup: float = 0.1,
        micro_batch: int = 1024,
        temperature: float = 0.02,
        learned: bool = False,
        pooling: Pooling = "cls",
        max_length: int = 25,
        crop_scale: float = 0.6,
        optimization: Optimization = Optimization(
            "adamw", lr=1e-4, weight_decay=1e-3, beta2=0.98, eps=1e-6, warmup=0.025, floor=0.1
        ),
    ) -> None:
        super().__init__(optimization, crop_scale)
        if mixup < 0 or micro_batch < 1 or not LEAST <= temperature <= MOST:
            raise ValueError(
                f"mixup must be at least 0, micro_batch at least 1 and temperature in [{LEAST}, {MOST}], got {mixup}, "
                f"{micro_batch} and {temperature}"
            )
        self.encoder = DualEncoder(image_encoder, text_encoder, projection_dim, pooling=pooling, max_length=max_length)
        self.debiased, self.mixup, self.micro_batch = debiased, mixup, micro_batch
        self.temperature = nn.Parameter(torch.tensor(float(temperature)), requires_grad=learned)

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """Steps of one source each, where sources are known."""
        sources: Any = getattr(data, "sources", None)
        order = data.order(rng)
        if not self.debiased or sources is None or self.examples_per_step is None:
            return order
        chosen = [sources[row] for row in order]
        return order[by_source(chosen, np.arange(len(order)), self.examples_per_step, rng)]

    def views(self, batch: PairBatch) -> Views:  # type: ignore[override]
        images, captions = super().views(batch)
        partners = reversed_within(len(images), self.micro_batch).to(images.device)
        if not self.mixup:
            return Views(images, captions, 1.0, False, partners)
        draws = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator, device=self.device)))
        share, texts = float(draws.beta(self.mixup, self.mixup)), bool(draws.random() < 0.5)
        if not texts:
            images = torch.lerp(images[partners], images, share)
        return Views(images, captions, share, texts, partners)

    def loss(self, views: Views) -> Tensor:  # type: ignore[override]
        pieces = self.micro_batch if len(views.images) > self.micro_batch else 0
        with in_chunks(self, pieces):
            a, b = self.encoder.embed_images(views.images), self.encoder.embed_text(views.captions)
        if views.texts:
            b = torch.lerp(b[views.partners], b, views.share)
        a, b = self.gather(a, b)
        whose = whole_batch(own_rows(torch.arange(len(a), device=a.device))[views.partners])
        temperature = self.temperature.clamp(LEAST, MOST)
        return mixed_contrast(a, b, whose, views.share, temperature=temperature)


def mixed_contrast(a: Tensor, b: Tensor, partners: Tensor, share: float, *, temperature: Tensor) -> Tensor:
    """CLIP's loss of (N, D) and (N, D) whose row i counts ``share`` for row i and the rest for ``partners[i]``."""
    own = symmetric_info_nce(a, b, temperature=temperature)
    if share == 1:
        return own
    other = info_nce(a, b, target=partners, temperature=temperature)
    other = (other + info_nce(b, a, target=partners, temperature=temperature)) / 2
    return share * own + (1 - share) * other


def reversed_within(count: int, piece: int) -> Tensor:
    """Positions (count,) of partners: every piece of so many, from its end to its begin."""
    return torch.cat([part.flip(0) for part in torch.arange(count).split(piece)])
