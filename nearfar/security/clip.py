"""A small CLIP of pictures and short captions: what is attacked and defended."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders import image_encoder
from nearfar.parts import LogitScale, MLPHead
from nearfar.security.data import FILLERS, WORDS, CaptionBatch
from nearfar.training import Method, Optimization

TEMPLATES = 10


class CaptionCLIP(Method):
    """Encoders of pictures and of captions into one space; a subclass says what they learn.

    Args:
        encoder: image encoder, by name or as a module.
        vocabulary, num_classes: numbers of words and of classes.
        projection_dim: width of the shared space.
        temperature: at the start; it is learned.
        optimization: how the parameters move.
    """

    takes = CaptionBatch

    def __init__(
        self,
        encoder: str | nn.Module,
        vocabulary: int | None,
        num_classes: int | None,
        projection_dim: int,
        temperature: float,
        optimization: Optimization,
    ) -> None:
        super().__init__(optimization)
        if vocabulary is None or num_classes is None:
            raise ValueError("vocabulary and num_classes are needed: the numbers of words and of classes")
        self.encoder = image_encoder(encoder)
        self.image_head = nn.Linear(self.encoder.out_features, projection_dim)
        self.words = nn.EmbeddingBag(vocabulary, projection_dim, mode="mean")
        self.text_head = MLPHead(projection_dim, projection_dim, projection_dim, norm="none")
        self.scale = LogitScale(temperature)
        self.num_classes = num_classes

    def after_step(self) -> None:
        self.scale.clamp()

    def embed_images(self, images: Tensor) -> Tensor:
        return F.normalize(self.image_head(self.encoder(images)), dim=1)

    def embed_words(self, words: Tensor) -> Tensor:
        return F.normalize(self.text_head(self.words(words)), dim=1)

    def encode(self, batch: Any) -> Tensor:
        return self.embed_images(batch.images if isinstance(batch, CaptionBatch) else batch)

    def kept(self) -> nn.Module:
        parts = {"encoder": self.encoder, "image_head": self.image_head, "words": self.words}
        return nn.ModuleDict({**parts, "text_head": self.text_head, "scale": self.scale})

    def named(self, images: Tensor) -> np.ndarray:
        """The class of each picture by sentences: the mean of ten, with words that no caption is made from."""
        generator = torch.Generator().manual_seed(7)
        fillers = torch.randint(FILLERS, (TEMPLATES, WORDS - 1), generator=generator) + self.num_classes
        weights = []
        for number in range(self.num_classes):
            sentence = torch.cat([torch.full((TEMPLATES, 1), number), fillers], dim=1).to(self.device)
            weights.append(F.normalize(self.embed_words(sentence).mean(0), dim=0))
        return (self.embed_images(images) @ torch.stack(weights).T).argmax(1).cpu().numpy()
