"""FLAVARS: contrast with captions, hidden patches and words, and contrast with places."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples, whole_batch
from nearfar.encoders.hidden_words import hide_words
from nearfar.encoders.text import Pooling
from nearfar.losses import info_nce, masked_contrast, symmetric_info_nce
from nearfar.multimodal.masked_pairs import (
    Guesses,
    Hiding,
    Joint,
    PicturesOfPlaces,
    Places,
    Views,
    Weights,
    transformer_of,
)
from nearfar.multimodal.method import DualEncoder, PairBatch
from nearfar.parts import LogitScale, PatchCodes, block_hidden
from nearfar.training import Method, Optimization
from nearfar.vision.views import Recipe

SEEN = 1000
"""Pictures of whose patches the codes are made."""


class FLAVARS(Method):
    r"""FLAVARS (2025, arXiv 2501.08490), which adds places to FLAVA (Singh et al., 2022, arXiv 2112.04482).

    .. math::
        L = L_{itc} + L_{mim} + L_{mlm} + L_{mmm,img} + L_{mmm,txt} (+ L_{itm}) + L_{loc}

    Contrast alone makes an image encoder that names things and loses what no caption speaks of, such as the ground a
    thing stands on; hidden patches keep that. Both contrasts see whole images and captions. Hidden patches are guessed
    as one of the codes of k-means over training patches, in place of FLAVA's pretrained dVAE. Places with known
    coordinates are contrasted by a projection of their own, so that they do not enter the space of captions; equal
    places are no negatives of each other. Where captions are exchanged, those images count neither as queries of the
    contrast nor in the joint guesses, as in FLAVA's code.

    No code is released: the weights of the parts and whether captions are exchanged are not settled by the paper. It
    does not claim the best zero-shot classifier, which is CLIP's; without captions take MAE.

    Args:
        image_encoder: a vision transformer that can hide patches, by name (``vit-...``) or as a module.
        text_encoder: text tower, by name or as a ``TextEncoder``.
        projection_dim: width of the shared space of images and captions, and of that of images and places.
        weights: of the parts of the loss.
        hiding: what is hidden.
        joint: the transformer over both modalities.
        places: the encoder of places.
        located: whether places are learned; taken from the data.
        pooling: how the text tower's token states become one vector.
        max_length: tokens kept per caption.
        crop_scale: smallest share of the image's area that the random square crop keeps, in (0, 1].
        optimization: AdamW with warm-up.
    """

    takes = PairBatch

    def __init__(
        self,
        image_encoder: str | nn.Module = "vit-b16",
        text_encoder: str | nn.Module = "small-bert",
        *,
        projection_dim: int = 256,
        weights: Weights = Weights(),
        hiding: Hiding = Hiding(),
        joint: Joint = Joint(),
        places: Places = Places(),
        located: bool | None = None,
        pooling: Pooling = "cls",
        max_length: int = 77,
        crop_scale: float = 0.9,
        optimization: Optimization = Optimization("adamw", lr=1e-3, weight_decay=0.1, beta2=0.98, warmup=0.05),
    ) -> None:
        super().__init__(optimization)
        self.encoder: DualEncoder = DualEncoder(
            image_encoder, text_encoder, projection_dim, pooling=pooling, max_length=max_length
        )
        self.weights, self.hiding = weights, hiding
        self.patch = transformer_of(self.encoder).patch
        self.codes = PatchCodes(hiding.codes, self.patch)
        matching = bool(weights.matching and hiding.exchanged)
        self.guesses = Guesses(self.encoder, joint, hiding.codes, matching=matching)
        self.scale, self.crop = LogitScale(0.07), Recipe(scale=(crop_scale, 1.0))
        self.places: PicturesOfPlaces | None = None
        if located and weights.location:
            self.places = PicturesOfPlaces(self.encoder.image.out_features, projection_dim, places)

    def begin(self, data: Any) -> None:
        rows = np.random.default_rng(self.seed).permutation(len(data))[:SEEN]
        self.codes.fit(data.batch(np.sort(rows)).images, self.seed)

    def views(self, batch: PairBatch) -> Views:
        images = self.crop(batch.images, self.generator)
        grid = images.shape[2] // self.patch, images.shape[3] // self.patch
        hidden = block_hidden(len(images), grid, self.hiding.patches, self.generator)
        captions, match = self.exchanged(batch.captions)
        tower = self.encoder.text
        text = tower.tokenize(captions)
        words = hide_words(text, tower.tokenizer, self.guesses.vocabulary, self.hiding.words, self.generator)
        return Views(images, hidden, self.codes.codes(images), text, words, match, batch.places)

    def exchanged(self, captions: list[str]) -> tuple[list[str], Tensor]:
        """Captions of which some are another image's, and (N,) whether each is its own."""
        count = len(captions)
        drawn = for_examples(lambda n: torch.rand(n, 2, generator=self.generator, device=self.device), count)
        steps = [1 + int(far * (count - 1)) if which < self.hiding.exchanged else 0 for which, far in drawn.tolist()]
        found = [captions[(row + step) % count] for row, step in enumerate(steps)]
        same = [ours == own for ours, own in zip(found, captions, strict=True)]
        return found, torch.tensor(same, device=self.device)

    def loss(self, views: Views) -> dict[str, Tensor]:
        seen = self.encoder.image(views.images)
        terms = {"contrast": self.contrast(seen, views)} if self.weights.contrast else {}
        if self.places is not None and views.places is not None:
            terms["location"] = self.place_contrast(self.places, seen, views.places)
        terms |= self.guesses(self.encoder, views, self.weights)
        return {name: getattr(self.weights, name) * term for name, term in terms.items()}

    def contrast(self, seen: Tensor, views: Views) -> Tensor:
        """CLIP's loss of image features (N, C) and captions, in which only those that belong together ask."""
        text = self.encoder.text(views.text)
        a, b = self.gather(self.encoder.image_projection(seen), self.encoder.text_projection(text))
        own, temperature = whole_batch(views.match), self.scale.temperature
        if own.all() or not own.any():
            return symmetric_info_nce(a, b, temperature=temperature)
        rows = own.nonzero().flatten()
        forth = info_nce(a[rows], b, target=rows, temperature=temperature)
        return (forth + info_nce(b[rows], a, target=rows, temperature=temperature)) / 2

    def place_contrast(self, towers: PicturesOfPlaces, seen: Tensor, places: Tensor) -> Tensor:
        """The same of image features (N, C) and places (N, 2), where they are known."""
        a, b = self.gather(*towers(seen, places))
        places = whole_batch(places)
        known = ~places.isnan().any(1)
        if not known.any():
            return (a.sum() + b.sum()) * 0
        equal = (places[known, None] == places[known]).all(2)
        return masked_contrast(a[known], b[known], equal, temperature=towers.scale.temperature)

    def after_step(self) -> None:
        self.scale.clamp()

    def kept(self) -> nn.Module:
        parts = {"encoder": self.encoder} if self.places is None else {"encoder": self.encoder, "places": self.places}
        return nn.ModuleDict(parts)
