"""Words to numbers and back: a vocabulary that is read off texts, and kept with what was trained on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.encoders.tokens import PADDING, START, Tokens

__all__ = ["END", "UNKNOWN", "Vocabulary"]

END, UNKNOWN = 2, 3
RESERVED = 4
LONGEST = 32
"""Bytes of a word; longer ones are unknown."""
_WORD = re.compile(r"\w+|[^\w\s]")
_CLOSING = re.compile(r" ([,.;:!?)])")


class Vocabulary(nn.Module):
    """The most frequent words of some texts, lower-cased, for models that write.

    A :class:`nearfar.encoders.tokens.HashTokenizer` needs no fitting, and nothing leads back from its numbers to words.
    The words are a buffer, so that a run keeps them. For languages that do not separate words, and for large corpora,
    use a pretrained tokenizer.

    Args:
        size: numbers of words, those of padding, start, end and unknown words included.
        max_length: of a text, start and end included.
    """

    letters: Tensor

    def __init__(self, size: int, max_length: int) -> None:
        super().__init__()
        if size <= RESERVED or max_length < 3:
            raise ValueError(f"size must be above {RESERVED} and max_length at least 3, got {size} and {max_length}")
        self.size, self.max_length = size, max_length
        self.register_buffer("letters", torch.zeros(size, LONGEST, dtype=torch.uint8))
        self._words: list[str] | None = None
        self._numbers: dict[str, int] = {}

    def fit(self, texts: Iterable[str]) -> None:
        """Take the most frequent words of texts; of equally frequent ones the first in the alphabet."""
        counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
        short = [word for word in counts if len(word.encode()) <= LONGEST]
        chosen = sorted(short, key=lambda word: (-counts[word], word))[: self.size - RESERVED]
        self.letters.zero_()
        for row, word in enumerate(chosen, RESERVED):
            spelled = word.encode()
            self.letters[row, : len(spelled)] = torch.tensor([*spelled], dtype=torch.uint8)
        self._words = None

    @property
    def words(self) -> list[str]:
        """Every word by its number; empty for those that are none."""
        if self._words is None:
            rows = self.letters.cpu().numpy()
            self._words = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in rows]
            self._numbers = {word: number for number, word in enumerate(self._words) if word}
        return self._words

    def forward(self, texts: Sequence[str]) -> Tokens:
        """Start, words and end of each text, (N, T), cut to ``max_length`` with the end kept."""
        assert self.words
        rows = []
        for text in texts:
            found = [self._numbers.get(word, UNKNOWN) for word in _WORD.findall(text.lower())]
            rows.append([START, *found[: self.max_length - 2], END])
        width = max(len(row) for row in rows)
        ids = torch.tensor([[*row, *[PADDING] * (width - len(row))] for row in rows], device=self.letters.device)
        return Tokens(ids, (ids != PADDING).long())

    def texts(self, ids: Tensor) -> list[str]:
        """What numbers (N, T) say, up to the first end."""
        found = []
        for row in ids.tolist():
            kept = row[: row.index(END)] if END in row else row
            said = " ".join(self.words[number] or "?" for number in kept if number not in (PADDING, START))
            found.append(_CLOSING.sub(r"\1", said))
        return found

    def _load_from_state_dict(self, *args: Any, **named: Any) -> None:
        super()._load_from_state_dict(*args, **named)
        self._words = None
