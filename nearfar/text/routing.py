"""Text encoders that read every text by its domain, or every token by a router's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nearfar.encoders.experts import TokenExperts, add_experts, add_token_experts
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


class TokenRoutedEncoder(TextEncoder):
    """A text encoder in whose feed-forward layers a router chooses experts for every token.

    Args:
        encoder: becomes part of it, with its layers copied.
        experts: how many there are.
        top: of them, that a token passes.
        layers: that get experts; all when not given.
    """

    by_example = ("guessed",)

    def __init__(self, encoder: TextEncoder, experts: int, top: int, layers: Sequence[int] | None) -> None:
        super().__init__(encoder.model, encoder.tokenizer, encoder.pooling)
        add_token_experts(self.model, experts, top, layers)

    def guessed(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Vectors (N, D) of tokens of N texts, and the routers' logits (N, experts), means over tokens and layers."""
        vectors = self(tokens)
        routers = [module for module in self.model.modules() if isinstance(module, TokenExperts)]
        logits = torch.stack([module.logits for module in routers if module.logits is not None]).mean(0)
        for module in routers:
            module.logits = None
        weights = tokens.attention_mask.unsqueeze(-1).to(logits.dtype)
        return vectors, (logits * weights).sum(1) / weights.sum(1).clamp_min(1)
