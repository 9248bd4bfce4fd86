"""Sentences under any two transforms: what the review of transformations makes into one method."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders import TextEncoder
from nearfar.encoders.text import Pooling
from nearfar.text.method import TextBatch
from nearfar.text.methods.simcse import SimCSE
from nearfar.text.transforms import Lexicon, Transform, changed, transform_of
from nearfar.text.transforms.states import changed_words
from nearfar.training import Optimization


class TransformedText(SimCSE):
    """After Bhattacharjee et al., 2022, IJCAI survey track, arXiv 2203.12000.

    A sentence under one transform must find itself under another among the sentences of the batch, by InfoNCE in one
    direction. The transforms are those of :data:`nearfar.text.transforms.TRANSFORMS`, or the user's own; with two that
    leave the text alone (``dropout``) it is SimCSE. A third may make negatives, for which it should not keep the
    meaning. Partners that the data may have are not looked at; take SimCSE for those.

    :func:`nearfar.text.transforms.report.transform_report` measures a transform without training. The review has no
    method of its own, so the defaults are SimCSE's and deletion of words.

    Args:
        encoder: sentence encoder, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        first, second: the transforms of the two views.
        negative: the transform that makes hard negatives; none when not given.
        strength: of every transform that has one, in [0, 1]; each its own when not given.
        protect: whether negations and numbers stay as they are.
        pooling: how token states become one vector.
        temperature: divides the cosine similarities, above 0.
        head: put a Linear + Tanh between encoder and loss.
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder, its own when not given.
        optimization: AdamW with linear decay and no warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        first: str | Transform = "dropout",
        second: str | Transform = "deletion",
        negative: str | Transform | None = None,
        strength: float | None = None,
        protect: bool = True,
        pooling: Pooling = "cls",
        temperature: float = 0.05,
        head: bool = True,
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=3e-5, weight_decay=0.0, schedule="linear"),
    ) -> None:
        super().__init__(
            encoder,
            pooling=pooling,
            temperature=temperature,
            head=head,
            max_length=max_length,
            dropout=dropout,
            optimization=optimization,
        )
        if strength is not None and not 0 <= strength <= 1:
            raise ValueError(f"the strength of a transform is in [0, 1], got {strength}")
        self.transforms = [transform_of(each) for each in (first, second, negative) if each is not None]
        self.strength = strength
        self.lexicon = Lexicon() if protect else Lexicon(protected=frozenset())

    def views(self, batch: TextBatch) -> list[list[str]]:
        """The sentences under each transform, N strings each."""
        return [self.changed(batch.sentences, transform) for transform in self.transforms]

    def changed(self, sentences: Sequence[str], transform: Transform) -> list[str]:
        """Sentences under a transform of texts, each by its own draw."""

        def draw(count: int) -> Tensor:
            return torch.randint(2**62, (count,), generator=self.generator, device=self.device)

        seeds = for_examples(draw, len(sentences)).tolist()
        return changed(sentences, transform, seeds, strength=self.strength, lexicon=self.lexicon)

    def embedded(self, views: list[list[str]]) -> tuple[Tensor, ...]:
        encoder = cast(TextEncoder, self.encoder)
        tokens = encoder.tokenize([*itertools.chain(*views)])
        masks = tokens.attention_mask.chunk(len(views))

        def change(states: Tensor) -> Tensor:
            parts = zip(self.transforms, states.chunk(len(views)), masks, strict=True)
            return torch.cat([self.inside(transform, part, mask) for transform, part, mask in parts])

        with changed_words(encoder, change):
            vectors = encoder(tokens)
        return self.gather(*self.head(vectors).chunk(len(views)))

    def inside(self, transform: Transform, states: Tensor, mask: Tensor) -> Tensor:
        """Embedded words (N, T, D) under a transform; as they are under one of texts."""
        if not transform.inside or transform.change is None:
            return states
        amount: Any = transform.strength if self.strength is None else self.strength

        def draw(count: int, *sizes: int) -> Tensor:
            def of(n: int) -> Tensor:
                return torch.rand(n, *sizes, generator=self.generator, device=states.device)

            return for_examples(of, count)

        return transform.change(states, mask, draw, amount)
