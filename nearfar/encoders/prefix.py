"""Deep prompts: keys and values that are learned for every attention layer of a network that itself stays as it is."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LayerPrefix", "add_prefixes"]

_NAME = "nearfar_prefix"


class LayerPrefix(nn.Module):
    """The learned keys and values of one layer, as if so many tokens stood before every sentence.

    Args:
        heads: number of attention heads.
        width: of a head.
        length: number of prefix places, at least 1.
        dropout: probability with which their entries are dropped, anew for every sentence.
    """

    def __init__(self, heads: int, width: int, length: int, dropout: float) -> None:
        super().__init__()
        # Standard normal, as the embedding table that the released code keeps them in.
        self.key = nn.Parameter(torch.randn(heads, length, width))
        self.value = nn.Parameter(torch.randn(heads, length, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, sentences: int) -> tuple[Tensor, Tensor]:
        """Keys and values (N, H, P, D / H) for N sentences."""
        key, value = (self.dropout(x.expand(sentences, -1, -1, -1)) for x in (self.key, self.value))
        return key, value


def add_prefixes(model: Any, length: int, dropout: float) -> None:
    """Give every self-attention of a transformers encoder a :class:`LayerPrefix`, and freeze everything else.

    The prefix joins keys and values inside the attention, so padding, pooling and positions are those of the sentence
    alone. (The released code of P-tuning v2 and PromCSE passes it as a cache, by which transformers of that time moved
    the positions of the tokens on by its length.)

    Raises:
        ValueError: a length below 1, or a model whose attention cannot be extended.
    """
    if length < 1:
        raise ValueError(f"a prefix has at least 1 place, got {length}")
    layers = [m for m in model.modules() if hasattr(m, "num_attention_heads") and hasattr(m, "attention_head_size")]
    if not layers or not getattr(model, "_supports_attention_backend", False):
        raise ValueError(f"a {type(model).__name__} has no attention that a prefix can join; BERT and RoBERTa have")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for layer in layers:
        prefix = LayerPrefix(layer.num_attention_heads, layer.attention_head_size, length, dropout)
        layer.prefix = prefix.train(layer.training)
    _register()
    model.set_attn_implementation(_NAME)


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    """Scaled dot-product attention to the prefix of the layer and to the tokens."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    prefix_key, prefix_value = module.prefix(len(query))
    if attention_mask is not None:
        seen = True if attention_mask.dtype == torch.bool else 0.0
        attention_mask = F.pad(attention_mask, (prefix_key.shape[2], 0), value=seen)
    key = torch.cat([prefix_key.to(key.dtype), key], 2)
    value = torch.cat([prefix_value.to(value.dtype), value], 2)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
