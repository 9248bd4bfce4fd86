"""SPN4CIR: composed image retrieval with more positives and a bank of all pictures as negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders.text import Pooling
from nearfar.losses import info_nce
from nearfar.multimodal.composed import ComposedBatch, Composer, picture_features
from nearfar.multimodal.data.composed import Triplets
from nearfar.multimodal.method import DualEncoder
from nearfar.training import Optimization, Phase


class Bank(NamedTuple):
    """Every picture's features (M, D), the bank's rows (B, D), and which of them each picture (M,) is."""

    features: Tensor
    rows: Tensor
    slots: Tensor


class SPN4CIR(Composer):
    """Feng et al., 2024, arXiv 2404.11317; the released ``clip4cir/models.py``.

    A query is the sum of a picture's and a text's embedding as they come out of the towers, not normalised before. In a
    first phase both towers learn to find the target among those of the batch, from query to target only. In a second
    one the image tower rests, so that every picture of the collection is embedded once into a bank, and the text tower
    learns to find the target among all of them: no batch is that large. Equal pictures are in the bank once, and its
    rows follow the pictures of all triplets, as reference or target.

    More positives are made before training, from captions: :func:`nearfar.multimodal.data.composed.template_triplets`.
    A bank of towers that have learned nothing is of no use: begin with those of a run of
    CLIP (``--from``), or leave the first phase long enough. Where triplets have captions and no target pictures, use
    SCOT.

    Args:
        image_encoder: image tower, by name or as a module.
        text_encoder: text tower, by name or as a ``TextEncoder``.
        projection_dim: width of the shared space.
        temperature: of the first phase, divides the cosines.
        bank_temperature: of the second phase.
        bank_share: share of the run that the second phase takes, in [0, 1]; the paper has 10 epochs, then 5.
        bank_lr: multiplies the rate in the second phase.
        negatives: rows of the bank that are drawn for each query; all when ``None``.
        pooling: how the text tower's token states become one vector.
        max_length: tokens kept per text.
        optimization: AdamW with the released settings.
    """

    def __init__(
        self,
        image_encoder: str | nn.Module = "resnet50",
        text_encoder: str | nn.Module = "small-bert",
        *,
        projection_dim: int = 640,
        temperature: float = 0.01,
        bank_temperature: float = 0.02,
        bank_share: float = 1 / 3,
        bank_lr: float = 1.0,
        negatives: int | None = None,
        pooling: Pooling = "avg",
        max_length: int = 76,
        optimization: Optimization = Optimization("adamw", lr=2e-5, weight_decay=1e-2, eps=1e-7, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if not 0 <= bank_share <= 1 or (negatives is not None and negatives < 1):
            raise ValueError(f"bank_share in [0, 1] and negatives from 1 are needed, got {bank_share} and {negatives}")
        self.encoder = DualEncoder(image_encoder, text_encoder, projection_dim, pooling=pooling, max_length=max_length)
        self.phases = (Phase("batch", 1 - bank_share), Phase("bank", lr_scale=bank_lr))
        self.temperature, self.bank_temperature, self.negatives = temperature, bank_temperature, negatives
        self.bank: Bank | None = None

    def begin(self, data: Triplets) -> None:
        if data.targets is None:
            raise ValueError(
                f"SPN4CIR learns from target pictures and {data.name} names none; SCOT learns from captions"
            )

    def begin_phase(self, phase: str, data: Triplets) -> None:
        """Embed every picture once; they lie beside the run's state and not in it, as they follow from it."""
        if phase != "bank":
            return
        assert data.targets is not None
        self.encoder.image.requires_grad_(False)
        self.encoder.image_projection.requires_grad_(False)
        first = torch.from_numpy(data.first_of_equals())
        used = torch.zeros(len(first), dtype=torch.bool)
        used[first[torch.from_numpy(data.references)]] = used[first[torch.from_numpy(data.targets)]] = True
        features = picture_features(self, data.images)
        slots = (used.cumsum(0) - 1)[first].to(self.device)
        self.bank = Bank(features, features[used.to(self.device)], slots)

    def resumed(self, data: Triplets) -> None:
        self.begin_phase(self.phase, data)

    def compose(self, images: Tensor, changes: Sequence[str]) -> Tensor:
        return self.encoder.embed_images(images) + self.encoder.embed_text(changes)

    def loss(self, views: ComposedBatch) -> Tensor:
        if self.phase == "bank" and self.bank is not None:
            return self._among_all(views, self.bank)
        assert views.targets is not None
        queries = self.compose(views.references, views.changes)
        queries, targets = self.gather(queries, self.encoder.embed_images(views.targets))
        return info_nce(queries, targets, temperature=self.temperature)

    def _among_all(self, views: ComposedBatch, bank: Bank) -> Tensor:
        queries = bank.features[views.places[:, 0]] + self.encoder.embed_text(views.changes)
        wanted, rows = bank.slots[views.places[:, 1]], bank.rows
        if self.negatives is None:
            queries, wanted = self.gather(queries, wanted)
            return info_nce(queries, rows, target=wanted, temperature=self.bank_temperature)
        queries, positives, own = self.gather(queries, rows[wanted], rows[self._drawn(wanted, len(rows))])
        return info_nce(queries, positives, own_negatives=own, in_batch=False, temperature=self.bank_temperature)

    def _drawn(self, wanted: Tensor, count: int) -> Tensor:
        """(N, K) rows of the bank, none twice for a query and none its target."""
        assert self.negatives is not None

        def draw(n: int) -> Tensor:
            return torch.rand(n, count - 1, generator=self.generator, device=self.device)

        chosen = for_examples(draw, len(wanted)).argsort(1)[:, : self.negatives]
        return chosen + (chosen >= wanted[:, None]).long()
