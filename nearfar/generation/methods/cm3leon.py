r"""CM3Leon (Yu et al. 2023, arXiv 2309.02591): one language model of captions and pictures, decoded against itself.

A document is ``<begin> caption <break> picture`` in tokens, with documents from a memory before it. In some a span is
replaced by ``<mask>`` and moved to the end, ``A <mask> B <infill> [span]``, never across ``<break>`` (CM3). A causal
transformer learns the next token,

.. math:: L = L_{document} + \alpha L_{retrieved}.

As it has met masked captions, it tells with the logits :math:`l_c` of a caption and :math:`l_u` of ``<mask>`` in its
place what the caption adds. Pictures are made, token by token, from one of

.. math:: l_c, \qquad l_u + g (l_c - l_u), \qquad \log p_c - w \log p_u \ \text{ where } \
          p_c \ge \alpha\, \mathrm{kmax}_v\, p_c(v);

the last is CD-K, with kmax the k-th largest; k = 1 is contrastive decoding, which is nearly greedy on tokens of
pictures.

There is no released code, and this follows an account of the paper and not its text: the weight of retrieved documents
is that of RA-CM3 (Yasunaga et al. 2023); the sizes of :class:`Decoding`, how often which span is moved, and the rates
of the optimiser are ours. The paper's tokenizer of pictures is a VQGAN, its retriever CLIP, and its words BPE; here
they are :mod:`nearfar.generation.tokens`, means of words and greys, and hashed words, so that pictures are made of
captions and no captions of pictures. ``<mask>`` and ``<infill>`` are not learned as next tokens, as chance puts them
there. From none to all of the retrieved documents stand before one in training, each number as often, and none where
the caption is masked in generation: the caption has found them. The second stage of the paper, tuning on instructions,
is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.generation.data import PictureBatch
from nearfar.generation.documents import LONGEST, Alphabet, Masking, Reader, Retrieval, looks_of, span
from nearfar.generation.evaluation import by_condition
from nearfar.generation.made import Made
from nearfar.generation.method import Draws, Generates, pictures_made
from nearfar.generation.token_decoding import Decoding
from nearfar.generation.token_net import TokenNet
from nearfar.generation.tokens import PictureTokens, open_tokens
from nearfar.system import Scores
from nearfar.training import Data, Method, Optimization


class DocumentViews(NamedTuple):
    """Tokens (B, T), and what they are (B, T): 1 of the document, 2 of a retrieved one, 0 not to be learned."""

    ids: Tensor
    kind: Tensor


class CM3Leon(Generates, Method):  # type: ignore[misc]
    """Pictures of captions by a language model with a memory and contrastive decoding.

    Where no caption is known, the class stands for it (``class 3``). In fewer steps than tokens ``cdcd`` makes them.

    Args:
        side: of the pictures in pixels; the data's own when not given.
        tokens: see :func:`nearfar.generation.tokens.open_tokens`; the paper's are 8,192 codes on 32 x 32 places.
        words: hashed words, above 3.
        masking: which spans are moved to the end.
        retrieval: the memory; it holds documents of the training data until :meth:`remember` is given others.
        decoding: how tokens are drawn.
        net: the transformer; the paper's smallest has 350 million parameters. Its dropout must be 0.
        optimization: Adam with a warm-up.
    """

    verbs = ("generates",)
    takes = PictureBatch
    can_collapse = False

    def __init__(
        self,
        side: int | None = None,
        tokens: str | PictureTokens = "patches:4",
        *,
        words: int = 4096,
        masking: Masking = Masking(),
        retrieval: Retrieval = Retrieval(),
        decoding: Decoding = Decoding(),
        net: TokenNet = TokenNet(1024, 24, 16),
        optimization: Optimization = Optimization(
            lr=6e-4, weight_decay=0.1, beta2=0.95, warmup=0.01, schedule="cosine", clip=1.0
        ),
    ) -> None:
        super().__init__(optimization)
        if side is None:
            raise ValueError("CM3Leon needs the side of its pictures, got none")
        if net.dropout:
            raise ValueError(f"the transformer of CM3Leon has no dropout; net.dropout must be 0, got {net.dropout}")
        self.tokens: Any = open_tokens(tokens, side)
        self.alphabet = Alphabet(self.tokens.count, words)
        self.places = self.tokens.grid[0] * self.tokens.grid[1]
        longest = (retrieval.documents + 1) * (self.places + LONGEST + 4)
        self.encoder: Reader = Reader(
            self.alphabet, self.places, net.width, net.depth, net.heads, retrieval.size, longest
        )
        self.masking, self.retrieval, self.decoding = masking, retrieval, decoding

    def begin(self, data: Data) -> None:
        if self.retrieval.documents:
            self.remember(data)

    def remember(self, data: Data) -> None:
        """Fill the memory with up to ``retrieval.size`` documents of a collection."""
        part = data.sample(self.retrieval.size)
        batches = [part.batch(rows) for rows in np.array_split(np.arange(len(part)), -(-len(part) // 256))]
        pictures = torch.cat([self.tokens.encode(each.images.to(self.device)) for each in batches])
        looks = torch.cat([looks_of(each.images) for each in batches])
        self.encoder.memory.fill([words for each in batches for words in self._captions(each)], pictures, looks)

    def _captions(self, batch: PictureBatch) -> list[list[int]]:
        said = [text or f"class {label}" for text, label in zip(batch.captions, batch.labels.tolist(), strict=True)]
        return [self.alphabet.caption(text) for text in said]

    def views(self, batch: PictureBatch) -> DocumentViews:
        captions, pictures = self._captions(batch), self.tokens.encode(batch.images)
        drawn = for_examples(
            lambda n: torch.rand(n, 5 + LONGEST, generator=self.generator, device=pictures.device), len(pictures)
        )
        found = self.encoder.memory.search(
            captions,
            self.retrieval.documents,
            cap=self.retrieval.cap,
            looks=looks_of(batch.images),
            pictures=pictures,
            kept=drawn[:, 6:] >= self.retrieval.dropout,
        )
        rows, kinds = [], []
        for words, picture, near, u in zip(captions, pictures.tolist(), found, drawn.tolist(), strict=True):
            before = self._retrieved(near[: int(u[5] * (self.retrieval.documents + 1))])
            document = self.alphabet.document(words, picture)
            moved = span(len(words), self.places, self.masking, u)
            document = self.alphabet.infilled(document, *moved) if moved else document
            rows.append(before + document)
            kinds.append([2] * len(before) + [1] * len(document))
        ids, kind = (_right_padded(each, fill, pictures) for each, fill in ((rows, self.alphabet.padding), (kinds, 0)))
        signs = torch.tensor([self.alphabet.begin, self.alphabet.mask, self.alphabet.infill], device=ids.device)
        return DocumentViews(ids, kind.masked_fill(torch.isin(ids, signs), 0))

    def _retrieved(self, rows: Sequence[int]) -> list[int]:
        return [token for row in rows for token in self.encoder.memory.document(row, self.alphabet)]

    def loss(self, views: DocumentViews) -> dict[str, Tensor]:
        logits = self.encoder(views.ids)[:, :-1]
        surprise = F.cross_entropy(logits.flatten(0, 1).float(), views.ids[:, 1:].flatten(), reduction="none")
        kind = views.kind[:, 1:].flatten()
        mean = {which: (surprise * (kind == which)).sum() / (kind == which).sum().clamp_min(1) for which in (1, 2)}
        terms = {"document": mean[1]}
        if self.retrieval.documents and self.retrieval.weight:
            terms["retrieved"] = self.retrieval.weight * mean[2]
        return terms

    def make(self, batch: PictureBatch, draws: Draws) -> list[Made]:
        """A picture of each caption, with what the memory holds of it."""
        captions, memory, size = self._captions(batch), self.encoder.memory, self.retrieval
        found: list[list[int]] = [[] for _ in captions]
        if size.documents:
            found = memory.search(captions, size.documents, cap=size.cap, chance=draws.uniform(size.size))
        rows = [self._retrieved(f) + self.alphabet.document(c) for f, c in zip(found, captions, strict=True)]
        if self.decoding.streams == 2:
            rows += [self.alphabet.document([self.alphabet.mask])] * len(captions)
        return pictures_made(batch, self.tokens.decode(self.encoder.continued(rows, self.decoding, draws)))

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Pictures of held-out captions: their ``frechet ...`` distance, and ``agreement`` with known classes; see
        :mod:`nearfar.generation.evaluation`."""
        return by_condition(self, data, seed=seed)


def _right_padded(rows: list[list[int]], fill: int, like: Tensor) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows], device=like.device)
