"""Words to numbers without a vocabulary file."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

PADDING, START, MASK = 0, 1, 2
_RESERVED = 3
_WORD = re.compile(r"\w+|[^\w\s]")


class Tokens(NamedTuple):
    """Token ids (N, T) int64 and a mask (N, T) that is 1 where there is a token and 0 where there is padding."""

    input_ids: Tensor
    attention_mask: Tensor


class PairTokens(NamedTuple):
    """Tokens of pairs of texts, one after the other: ids and mask as of :class:`Tokens`, and ``second`` (N, T), 1 where
    a token is the second text's."""

    input_ids: Tensor
    attention_mask: Tensor
    second: Tensor


class HashTokenizer:
    """Lower-cased words and punctuation marks, each hashed to one of ``buckets`` ids.

    It has nothing to learn and nothing to save, reads every language that separates words, and two machines
    always agree. Words that share a bucket are one word to the model: with 16,384 buckets and a working
    vocabulary of 3,000 words about 17% of them share. For large corpora use a pretrained tokenizer (``hf:<model>``).

    Args:
        buckets: size of the embedding table, above 3 (padding, start and mask have ids of their own).
        max_length: tokens kept per sentence, the start token included.
    """

    def __init__(self, buckets: int = 16384, max_length: int = 32) -> None:
        if buckets <= _RESERVED or max_length < 2:
            raise ValueError(f"buckets must be above 3 and max_length at least 2, got {buckets} and {max_length}")
        self.buckets = buckets
        self.max_length = max_length
        self._id = lru_cache(maxsize=1 << 18)(self._bucket)

    def _bucket(self, word: str) -> int:
        return _RESERVED + zlib.crc32(word.encode()) % (self.buckets - _RESERVED)

    def __call__(self, sentences: Sequence[str]) -> Tokens:
        rows = [self._started(sentence)[: self.max_length] for sentence in sentences]
        return padded_tokens(rows)

    def pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> PairTokens:
        """Each first text and its second, both begun with the start token; what is too long is cut off the longer."""
        rows, sides = [], []
        for first, second in zip(firsts, seconds, strict=True):
            a, b = self._started(first), self._started(second)
            while len(a) + len(b) > max(self.max_length, 2):
                (a if len(a) >= len(b) else b).pop()
            rows.append(a + b)
            sides.append([0] * len(a) + [1] * len(b))
        ids = _padded(rows, PADDING)
        return PairTokens(ids, (ids != PADDING).long(), _padded(sides, 0))

    def words(self, text: str) -> list[int]:
        """The ids of all words and marks of a text, without the start token and without a limit."""
        if not isinstance(text, str):
            raise TypeError(f"expected sentences as strings, got a {type(text).__name__}")
        return [self._id(word) for word in _WORD.findall(text.lower())]

    def _started(self, sentence: str) -> list[int]:
        return [START, *self.words(sentence)]


class PretrainedTokenizer:
    """A transformers tokenizer behind the same call."""

    def __init__(self, name: str, max_length: int = 32) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        self.max_length = max_length

    def __call__(self, sentences: Sequence[str]) -> Tokens:
        found = self.tokenizer(
            [*sentences], padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return Tokens(found["input_ids"], found["attention_mask"])

    def pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> PairTokens:
        """Each first text and its second as the model was trained to read pairs, in ``max_length`` tokens together."""
        found = self.tokenizer(
            [*firsts], [*seconds], padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        second = torch.zeros_like(found["input_ids"])
        for row in range(len(second)):
            sides = found.sequence_ids(row)
            # What ends the second text is the second's, what stands between them the first's.
            second[row, sides.index(1) if 1 in sides else len(sides) :] = 1
        return PairTokens(found["input_ids"], found["attention_mask"], second * found["attention_mask"])


def padded_tokens(rows: Sequence[Sequence[int]], padding: int = PADDING) -> Tokens:
    """Token ids of sentences of any lengths, padded at the end."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long).view(-1, 1)
    ids = _padded(rows, padding)
    return Tokens(ids, (torch.arange(ids.shape[1]) < lengths).long())


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of any lengths as (N, T) int64, filled up with ``value``."""
    width = max((len(row) for row in rows), default=1)
    ids = torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)
    return ids.view(len(rows), width)
