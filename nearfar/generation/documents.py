"""Captions and pictures as rows of tokens for a causal language model: spans moved to the end, and a memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders.causal import left_padded, positions_of
from nearfar.encoders.tokens import HashTokenizer
from nearfar.generation.method import Draws
from nearfar.generation.token_decoding import Decoding

LONGEST = 16
"""Words of a caption that are read, and a start token."""
BAG, LOOK = 256, 8


@dataclass(frozen=True)
class Masking:
    """Which spans are moved to the end of their document.

    Args:
        share: of documents with a moved span; the others are read from left to right.
        caption: of those, the share whose span lies in the caption; it lies in the picture otherwise.
        whole: of those, the share whose caption is moved as a whole, which teaches pictures without one.
    """

    share: float = 0.5
    caption: float = 0.5
    whole: float = 0.5

    def __post_init__(self) -> None:
        if not all(0 <= value <= 1 for value in (self.share, self.caption, self.whole)):
            raise ValueError(
                f"share, caption and whole must be in [0, 1], got {self.share}, {self.caption} and {self.whole}"
            )


@dataclass(frozen=True)
class Retrieval:
    """What is looked up beside a document.

    Args:
        documents: at most so many before each; 0 for no memory.
        size: documents that are remembered.
        weight: of their own words in the loss, at least 0.
        cap: documents more similar than this to the query, or to one already taken, are left out.
        dropout: share of the query's words that are left out in training.
    """

    documents: int = 2
    size: int = 4096
    weight: float = 0.1
    cap: float = 0.9
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if self.documents < 0 or self.size < 1 or self.weight < 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                "documents and weight must be at least 0, size at least 1 and dropout in [0, 1), got "
                f"{self.documents}, {self.weight}, {self.size} and {self.dropout}"
            )


class Alphabet:
    """One row of numbers for everything: picture tokens from 0, then signs, then (hashed) words.

    Args:
        pictures: K, how many picture tokens there are.
        words: how many (hashed) words.
    """

    def __init__(self, pictures: int, words: int) -> None:
        self.pictures, self.words = pictures, words
        self.padding, self.begin, self.rest, self.mask, self.infill = range(pictures, pictures + 5)
        self.tokenizer = HashTokenizer(words, LONGEST)

    def __len__(self) -> int:
        return self.pictures + 5 + self.words

    def caption(self, text: str) -> list[int]:
        """The words of a caption."""
        return [self.pictures + 5 + word for word in self.tokenizer.words(text)[: LONGEST - 1]]

    def document(self, caption: Sequence[int], picture: Sequence[int] = ()) -> list[int]:
        """``<begin> caption <break> picture``."""
        return [self.begin, *caption, self.rest, *picture]

    def infilled(self, document: Sequence[int], first: int, last: int) -> list[int]:
        """``A [span] B`` as ``A <mask> B <infill> [span]``, the span being ``document[first:last]``."""
        return [*document[:first], self.mask, *document[last:], self.infill, *document[first:last]]


def span(words: int, places: int, masking: Masking, uniform: Sequence[float]) -> tuple[int, int] | None:
    """Which part of a document of ``words`` and ``places`` tokens is moved, by five numbers in [0, 1); it never
    crosses ``<break>``."""
    if uniform[0] >= masking.share:
        return None
    first, last = words + 2, words + 2 + places
    if words and uniform[1] < masking.caption:
        first, last = 1, words + 1
        if uniform[2] < masking.whole:
            return first, last
    start = first + int(uniform[3] * (last - first))
    return start, start + 1 + int(uniform[4] * (last - start))


class Memory(nn.Module):
    """Documents that are looked up by the mean of their words' and their picture's vectors.

    A vector is that of the counts of words, and beside it that of 8 x 8 greys without their mean, each of norm 1; the
    paper takes CLIP's.

    Args:
        size: documents at most.
        places: tokens of a picture.
    """

    captions: Tensor
    pictures: Tensor
    looks: Tensor
    held: Tensor

    def __init__(self, size: int, places: int) -> None:
        super().__init__()
        self.register_buffer("captions", torch.full((size, LONGEST - 1), -1, dtype=torch.int32))
        self.register_buffer("pictures", torch.zeros(size, places, dtype=torch.int32))
        self.register_buffer("looks", torch.zeros(size, LOOK * LOOK))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))

    def fill(self, captions: Sequence[Sequence[int]], pictures: Tensor, looks: Tensor) -> None:
        """Remember these instead of what was there; those that there is no room for are left out."""
        count = min(len(captions), len(self.captions))
        self.held.fill_(count)
        self.captions[:count] = _padded(captions[:count]).to(self.captions)
        self.pictures[:count] = pictures[:count].to(self.pictures)
        self.looks[:count] = looks[:count].to(self.looks)

    def document(self, row: int, alphabet: Alphabet) -> list[int]:
        words = [word for word in self.captions[row].tolist() if word >= 0]
        return alphabet.document(words, self.pictures[row].tolist())

    def search(
        self,
        captions: Sequence[Sequence[int]],
        count: int,
        *,
        cap: float = 0.9,
        looks: Tensor | None = None,
        pictures: Tensor | None = None,
        kept: Tensor | None = None,
        chance: Tensor | None = None,
    ) -> list[list[int]]:
        """The rows of at most ``count`` documents for each of B captions, best first.

        Args:
            captions: words of each.
            cap: see :class:`Retrieval`; the query counts with all its words.
            looks: (B, 64) of their pictures, where they have one; see :func:`looks_of`.
            pictures: (B, L) tokens of them; a document with the same picture is left out.
            kept: (B, 15) which words are asked for; all when not given.
            chance: (B, size) in [0, 1), which decides between equals.
        """
        held = int(self.held)
        if not held or not count:
            return [[] for _ in captions]
        ours, words = _bag(self.captions[:held]), _padded(captions).to(self.captions)
        near = ours.new_zeros(len(words), held) if looks is None else looks.to(self.looks) @ self.looks[:held].T
        whole = (_bag(words) @ ours.T + near) / 2
        asked = whole if kept is None else (_bag(words.masked_fill(~kept, -1)) @ ours.T + near) / 2
        if chance is not None:
            asked = asked + 1e-4 * chance[:, :held].to(asked)
        asked = asked.masked_fill(whole > cap, -1.0)  # below every similarity that may be taken
        score, candidates = asked.topk(min(held, 8 * count + 8), 1)
        among = (ours[candidates] @ ours[candidates].mT + self.looks[candidates] @ self.looks[candidates].mT) / 2
        return [
            self._apart(rows, score[b] == -1, among[b] > cap, count, None if pictures is None else pictures[b])
            for b, rows in enumerate(candidates)
        ]

    def _apart(self, rows: Tensor, known: Tensor, same: Tensor, count: int, picture: Tensor | None) -> list[int]:
        """The first ``count`` of candidates that are neither known already nor the same as an earlier one."""
        if picture is not None:
            known = known | (self.pictures[rows] == picture.to(self.pictures)).all(1)
        taken: list[int] = []
        barred = known.tolist()
        for n in range(len(rows)):
            if not barred[n] and not any(bool(same[n, m]) for m in taken):
                taken.append(n)
            if len(taken) == count:
                break
        return rows[taken].tolist()


def looks_of(images: Tensor) -> Tensor:
    """(B, 64) of pictures (B, 3, H, W) uint8: 8 x 8 greys without their mean, of norm 1."""
    grey = F.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), LOOK).flatten(1)
    return F.normalize(grey - grey.mean(1, keepdim=True), dim=1)


def _padded(captions: Sequence[Sequence[int]]) -> Tensor:
    """(B, 15) words, -1 where there are no more."""
    return torch.tensor([[*row, *[-1] * (LONGEST - 1 - len(row))] for row in captions]).view(-1, LONGEST - 1)


def _bag(words: Tensor) -> Tensor:
    """(B, 256) counts of words (B, 15), of norm 1."""
    found = torch.zeros(len(words), BAG, device=words.device)
    return F.normalize(found.scatter_add(1, words.long() % BAG, (words >= 0).float()), dim=1)


class Reader(nn.Module):
    """A Llama with random weights over an alphabet, and its memory.

    Args:
        alphabet: of documents.
        places: tokens of a picture.
        width, depth, heads: of the Llama.
        memory: documents that are remembered.
        longest: tokens that are read at once.
    """

    def __init__(
        self, alphabet: Alphabet, places: int, width: int, depth: int, heads: int, memory: int, longest: int
    ) -> None:
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=len(alphabet),
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            intermediate_size=4 * width,
            max_position_embeddings=longest,
            pad_token_id=alphabet.padding,
            bos_token_id=alphabet.begin,
            eos_token_id=None,
            tie_word_embeddings=True,
        )
        self.llama: Any = LlamaForCausalLM(config)
        if width < 256:  # on a processor the gradients of the fused attention cost small networks most of their time
            self.llama.set_attn_implementation("eager")
        self.memory = Memory(memory, places)
        self.alphabet, self.places = alphabet, places

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) to logits (B, T, len(alphabet))."""
        return self.llama(input_ids=ids, use_cache=False).logits

    @torch.no_grad()
    def continued(self, rows: list[list[int]], decoding: Decoding, draws: Draws) -> Tensor:
        """(B, L) tokens of pictures after B beginnings, each once or once with its caption and once without."""
        ids, mask = left_padded(rows, self.alphabet.padding, device=self.llama.device)
        place, cache, found = positions_of(mask), None, []
        for _ in range(self.places):
            read = self.llama(
                input_ids=ids,
                attention_mask=mask,
                position_ids=place,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            looks = read.logits[:, -1, : self.alphabet.pictures].float().chunk(decoding.streams)
            new = draws.choose(decoding.chances(*looks))
            ids, cache = new.repeat(decoding.streams)[:, None], read.past_key_values
            mask, place = torch.cat([mask, torch.ones_like(ids)], 1), place[:, -1:] + 1
            found.append(new)
        return torch.stack(found, 1)
