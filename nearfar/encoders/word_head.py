"""Text encoders with the head that scores the words of their states."""

from __future__ import annotations

from typing import Any

from torch import nn

from nearfar.encoders.places import there
from nearfar.encoders.text import Pooling, TextEncoder, set_dropout, text_encoder
from nearfar.encoders.tokens import PretrainedTokenizer

__all__ = ["with_word_head"]


def with_word_head(
    encoder: str | nn.Module, *, pooling: Pooling = "avg", max_length: int = 32, dropout: float | None = None
) -> tuple[TextEncoder, nn.Module]:
    """A sentence encoder as :func:`nearfar.encoders.text_encoder` makes it, and the head of its masked language model.

    The head maps states (..., D) to scores of the vocabulary (..., V), and shares the table of word embeddings with
    the encoder where the model's configuration says so. It is pretrained for ``hf:<model>`` and random for others.

    Raises:
        ValueError: transformers has no masked language model of this kind, or one whose head is no chain of modules.
    """
    from transformers import AutoModelForMaskedLM

    kind, _, name = encoder.partition(":") if isinstance(encoder, str) else ("", "", "")
    if kind == "hf":
        lm: Any = AutoModelForMaskedLM.from_pretrained(there(name), trust_remote_code=False)
        found = TextEncoder(getattr(lm, lm.base_model_prefix), PretrainedTokenizer(name, max_length), pooling)
        if dropout is not None:
            set_dropout(found.model, dropout)
    else:
        found = text_encoder(encoder, pooling=pooling, max_length=max_length, dropout=dropout)
        config = found.model.config
        if type(config) not in AutoModelForMaskedLM._model_mapping:
            raise ValueError(f"a {type(found.model).__name__} has no masked language model with a head of words")
        lm = AutoModelForMaskedLM.from_config(config)
        setattr(lm, lm.base_model_prefix, found.model)
        lm.tie_weights()
    parts = [part for part in lm.named_children() if part[0] != lm.base_model_prefix]
    if any(not isinstance(part, nn.Module) or name.endswith("fct") for name, part in parts) or not 1 <= len(parts) <= 2:
        raise ValueError(f"the head of a {type(lm).__name__} is no chain of modules; take BERT or RoBERTa")
    return found, parts[0][1] if len(parts) == 1 else nn.Sequential(*(part for _, part in parts))
