"""Words hidden from a text encoder, for it to guess."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.encoders.tokens import MASK, PADDING, START, Tokens

MASKED, REPLACED = 0.8, 0.1
"""Shares of the chosen words that are masked, and that another word replaces; the others stay (BERT)."""


class HiddenWords(NamedTuple):
    """Tokens of which some are hidden, and ``labels`` (N, T): the token that was there, -1 where none was chosen."""

    tokens: Tokens
    labels: Tensor


def hide_words(
    tokens: Tokens, tokenizer: Any, vocabulary: int, share: float, generator: torch.Generator
) -> HiddenWords:
    """Choose a share of the words; mask 80% of them, replace 10% by any token and leave 10% (BERT).

    Args:
        tokens: of sentences, on the generator's device.
        tokenizer: what made them; marks that are no words are never chosen.
        vocabulary: number of tokens.
        share: of the words, in [0, 1].
        generator: decides.

    Raises:
        ValueError: a tokenizer without a mask.
    """
    inner = getattr(tokenizer, "tokenizer", None)
    mask = MASK if inner is None else inner.mask_token_id
    if mask is None:
        raise ValueError("this text encoder has no mask token; take one of BERT's kind")
    ids = tokens.input_ids
    special = torch.tensor([PADDING, START, MASK] if inner is None else inner.all_special_ids, device=ids.device)
    width = ids.shape[1]

    def draw(n: int) -> Tensor:
        return torch.rand(n, width, 3, generator=generator, device=ids.device)

    which, how, what = for_examples(draw, len(ids)).unbind(2)
    chosen = (which < share) & tokens.attention_mask.bool() & ~torch.isin(ids, special)
    other = (what * vocabulary).long().clamp_max(vocabulary - 1)
    changed = torch.where(how < MASKED, torch.full_like(ids, mask), ids)
    changed = torch.where((how >= MASKED) & (how < MASKED + REPLACED), other, changed)
    return HiddenWords(Tokens(torch.where(chosen, changed, ids), tokens.attention_mask), ids.where(chosen, -1))
