"""Guessing hidden words, which methods add to keep what a language model knows."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders import TextEncoder
from nearfar.encoders.hidden_words import HiddenWords, hide_words
from nearfar.encoders.tokens import Tokens
from nearfar.parts.token_head import TokenHead


class WordGuesses(nn.Module):
    """The masked language model's loss on a text encoder: cross-entropy of the words that were hidden.

    Args:
        encoder: whose tokens are hidden; the head's last map is its table of tokens.
        share: of the words that are chosen, in [0, 1].
    """

    def __init__(self, encoder: TextEncoder, share: float = 0.15) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"the share of hidden words must be in [0, 1], got {share}")
        model: Any = encoder.model
        table: nn.Embedding = model.get_input_embeddings()
        self.head = TokenHead(encoder.out_features, table.num_embeddings)
        self.head.decode.weight = table.weight
        self.vocabulary, self.share = table.num_embeddings, share

    def hide(self, encoder: TextEncoder, tokens: Tokens, generator: Any) -> HiddenWords:
        """A share of the words of ``tokens`` hidden (see :func:`nearfar.encoders.hidden_words.hide_words`)."""
        return hide_words(tokens, encoder.tokenizer, self.vocabulary, self.share, generator)

    def forward(self, states: Tensor, labels: Tensor) -> Tensor:
        """The mean over hidden words; 0 without any.

        Args:
            states: (N, T, D) of the tokens with hidden words.
            labels: (N, T) what was there, -1 where nothing was chosen.
        """
        chosen = labels >= 0
        guesses = self.head(states[chosen])
        return F.cross_entropy(guesses, labels[chosen], reduction="sum") / chosen.sum().clamp_min(1)
