"""What every method on sentences shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.encoders import text_encoder
from nearfar.encoders.text import Pooling
from nearfar.text.frames import Frame
from nearfar.training import Method, Optimization


class TextBatch(NamedTuple):
    """Raw sentences (N strings) and, for supervised sets, what each entails and what contradicts it.

    ``rows`` (N,) int64 gives their positions in the collection. Where a sentence has several hard negatives, the
    others are in ``more_negatives``, lists of N. Pairs that people judged are ``sentences`` and ``seconds`` with
    ``scores`` (N,) float32. What dialogs are annotated with are ``frames`` (see :mod:`nearfar.text.frames`).
    ``rewrites`` are N lists, each the sentence said again and again, farther from it every time. ``names`` are N labels
    as texts, empty where a sentence has none, and ``domains`` N names of domains.
    """

    sentences: list[str]
    rows: Tensor
    positives: list[str] | None = None
    negatives: list[str] | None = None
    more_negatives: Sequence[list[str]] = ()
    seconds: list[str] | None = None
    scores: Tensor | None = None
    frames: Sequence[Frame | None] | None = None
    rewrites: list[list[str]] | None = None
    names: list[str] | None = None
    domains: list[str] | None = None


class TextMethod(Method):
    """A method on sentences: an encoder by name, which brings its own tokenizer.

    Args:
        encoder: a name that :func:`nearfar.encoders.text_encoder` knows, or a ``TextEncoder``.
        pooling: how token states become one vector.
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder; its own when ``None``.
        optimization: how the parameters move.
    """

    takes: ClassVar[type | None] = TextBatch

    def __init__(
        self,
        encoder: str | nn.Module,
        pooling: Pooling,
        max_length: int,
        dropout: float | None,
        optimization: Optimization,
    ) -> None:
        super().__init__(optimization)
        self.encoder = text_encoder(encoder, pooling=pooling, max_length=max_length, dropout=dropout)

    @property
    def features(self) -> int:
        """Width of the representation."""
        return int(self.encoder.out_features)  # type: ignore[arg-type]

    def ordinary(self, batch: Any) -> tuple[Any, Any]:
        """Sentences, alone or with labels that are left aside: what a loader makes of a list of texts."""
        texts = batch
        if isinstance(batch, list | tuple) and len(batch) == 2 and not isinstance(batch[0], str):
            texts = batch[0]
        if isinstance(texts, list | tuple) and texts and all(isinstance(text, str) for text in texts):
            return TextBatch([*texts], torch.arange(len(texts))), None
        return super().ordinary(batch)

    def encode(self, batch: Any) -> Tensor:
        return self.encoder(batch.sentences if isinstance(batch, TextBatch) else batch)
