"""Pairs of images and sentences, and the two towers that embed them into one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from nearfar.encoders import image_encoder, text_encoder
from nearfar.encoders.text import Pooling


class PairBatch(NamedTuple):
    """Raw images with their captions.

    ``images`` (N, 3, H, W) uint8, ``captions``, N strings, and ``rows``, positions in the collection (N,) int64.
    ``places`` (N, 2) float64, longitude and latitude in degrees, NaN where one is not known; ``None`` where none is.
    """

    images: Tensor
    captions: list[str]
    rows: Tensor
    places: Tensor | None = None


class PairEncoder(nn.Module):
    """What embeds pictures and sentences into one space of ``out_features``."""

    out_features: int

    def embed_images(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, out_features), not normalised."""
        raise NotImplementedError(f"{type(self).__name__} does not define embed_images(images)")

    def embed_text(self, sentences: Sequence[str]) -> Tensor:
        """N sentences to (N, out_features), not normalised."""
        raise NotImplementedError(f"{type(self).__name__} does not define embed_text(sentences)")

    def forward(self, batch: Any) -> Tensor:
        """Images of a batch, or a tensor of them, or a list of sentences."""
        if isinstance(batch, PairBatch):
            return self.embed_images(batch.images)
        return self.embed_images(batch) if isinstance(batch, Tensor) else self.embed_text(batch)


class DualEncoder(PairEncoder):
    """An image tower and a text tower, each followed by one linear projection without bias (CLIP).

    Args:
        image: image encoder, by name or as a module.
        text: sentence encoder, by name or as a ``TextEncoder``.
        dim: width of the shared space.
        pooling: how token states become one vector.
        max_length: tokens kept per caption.
    """

    def __init__(
        self,
        image: str | nn.Module,
        text: str | nn.Module,
        dim: int,
        *,
        pooling: Pooling = "avg",
        max_length: int = 32,
    ) -> None:
        super().__init__()
        self.image = image_encoder(image)
        self.text = text_encoder(text, pooling=pooling, max_length=max_length)
        self.image_projection = nn.Linear(self.image.out_features, dim, bias=False)
        self.text_projection = nn.Linear(self.text.out_features, dim, bias=False)
        self.out_features = dim

    def embed_images(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, dim), not normalised."""
        return self.image_projection(self.image(images))

    def embed_text(self, sentences: Sequence[str]) -> Tensor:
        """N sentences to (N, dim), not normalised."""
        return self.text_projection(self.text(sentences))
