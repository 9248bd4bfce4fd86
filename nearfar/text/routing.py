"""Text encoders that read every text by its domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nearfar.encoders.experts import add_experts
from nearfar.encoders.text import TextEncoder
from nearfar.encoders.tokens import Tokens


class RoutedEncoder(TextEncoder):
    """A text encoder whose feed-forward layers are those of each text's domain.

    Args:
        encoder: becomes part of it, with its layers copied.
        domains: how many there are.
        layers: that get experts; all when not given.
        marked: put a token of the domain, which begins as the first token does, in the place of the first token.
    """

    by_example = ("routed",)

    def __init__(self, encoder: TextEncoder, domains: int, layers: Sequence[int] | None, marked: bool) -> None:
        super().__init__(encoder.model, encoder.tokenizer, encoder.pooling)
        self.route = add_experts(self.model, domains, layers)
        self.first_mark: int | None = None
        if marked:
            model: Any = self.model
            table = model.get_input_embeddings().weight
            start, self.first_mark = int(self.tokenizer([""]).input_ids[0, 0]), len(table)
            model.resize_token_embeddings(len(table) + domains, mean_resizing=False)
            with torch.no_grad():
                model.get_input_embeddings().weight[self.first_mark :] = table[start]

    def routed(self, tokens: Tokens, domains: Tensor) -> Tensor:
        """Vectors (N, D) of tokens of N texts whose domains have the numbers (N,)."""
        ids = tokens.input_ids
        if self.first_mark is not None:
            ids = torch.cat([self.first_mark + domains.unsqueeze(1), ids[:, 1:]], 1)
        self.route.chosen = domains
        try:
            return self(Tokens(ids, tokens.attention_mask))
        finally:
            self.route.chosen = None
