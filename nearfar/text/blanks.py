"""A sentence inside a prompt with a blank, whose state stands for the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.encoders.text import TextEncoder
from nearfar.encoders.tokens import MASK, START, HashTokenizer, Tokens, padded_tokens
from nearfar.text.prompts import cut

SENTENCE, BLANK = "{sentence}", "[MASK]"


class BlankTokenizer:
    """Sentences to the tokens of a prompt around them, which has one blank after the sentence.

    Args:
        tokenizer: a ``HashTokenizer``, or one of transformers that has a mask token.
        template: what is read, with ``{sentence}`` and then ``[MASK]`` in it.
        max_length: tokens kept of a sentence, before the prompt is put around it.

    Attributes:
        after: tokens from the blank to the end, the blank counted.
    """

    def __init__(self, tokenizer: Any, template: str, max_length: int) -> None:
        if (
            template.count(SENTENCE) != 1
            or template.count(BLANK) != 1
            or template.index(SENTENCE) > template.index(BLANK)
        ):
            raise ValueError(f"template must hold {SENTENCE} once and then {BLANK} once, got {template!r}")
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        self.tokenizer, self.template, self.max_length = tokenizer, template, max_length
        hashed = isinstance(tokenizer, HashTokenizer)
        blank = MASK if hashed else getattr(tokenizer, "mask_token_id", None)
        if blank is None:
            raise ValueError(f"a blank needs a tokenizer with a mask token; a {type(tokenizer).__name__} has none")
        self.after = len(self._row("")) - self._row("").index(blank)

    def __call__(self, sentences: Sequence[str]) -> Tokens:
        padding = 0 if isinstance(self.tokenizer, HashTokenizer) else self.tokenizer.pad_token_id
        return padded_tokens([self._row(sentence) for sentence in sentences], padding)

    def _row(self, sentence: str) -> list[int]:
        words = self.tokenizer
        if not isinstance(words, HashTokenizer):
            text = self.template.replace(BLANK, words.mask_token)
            return words(text.replace(SENTENCE, cut(sentence, words, self.max_length)))["input_ids"]
        before, rest = self.template.split(SENTENCE)
        between, after = (words.words(part) for part in rest.split(BLANK))
        return [START, *words.words(before), *words.words(sentence)[: self.max_length], *between, MASK, *after]


class BlankEncoder(TextEncoder):
    """A text encoder that reads sentences in a prompt with a blank: the blank's state.

    Args:
        model: a transformers model that returns ``last_hidden_state`` (N, T, D).
        tokenizer: puts the prompt around sentences, and pads at the end.
    """

    def __init__(self, model: nn.Module, tokenizer: BlankTokenizer) -> None:
        super().__init__(model, tokenizer, "last_token")
        self.back = tokenizer.after - 1

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        # What follows the blank is the same in every sentence.
        last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
        return states[torch.arange(states.shape[0], device=states.device), last - self.back]


def words_of(encoder: TextEncoder) -> Any:
    """The tokenizer that a :class:`BlankTokenizer` takes, of a text encoder."""
    return getattr(encoder.tokenizer, "tokenizer", encoder.tokenizer)
