"""A Llama's step of one token on a processor: a preallocated cache, and products with few rows the right way round."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW = range(5, 33)
"""Numbers of rows for which a float32 product is faster with the weight on the left, as measured on one core."""


def quick_for(model: Any, cache: Any, mask: Tensor) -> QuickLlama | None:
    """The quick stepper, where it computes what the model does: a plain Llama on a processor, not in training.

    Args:
        cache: transformers' cache after the prompt.
        mask: (R, T), of the prompt.
    """
    from transformers import LlamaForCausalLM

    if type(model) is not LlamaForCausalLM or model.training or mask.device.type != "cpu":
        return None
    config = model.config
    plain = config.hidden_act == "silu" and not config.attention_bias and not config.mlp_bias
    if not plain or (config.rope_parameters or {}).get("rope_type", "default") != "default" or hooked(model):
        return None
    return QuickLlama(model, cache, mask)


def hooked(model: Any) -> bool:
    """Whether someone watches or changes the model from outside, or replaced its layers (by adapters, in low bits)."""
    parts = [*model.modules()]
    if any(part._forward_hooks or part._forward_pre_hooks for part in parts):
        return True
    return any(type(part) is not torch.nn.Linear for name, part in model.named_modules() if name.endswith("_proj"))


class QuickLlama:
    """The rows of a Llama after its prompt.

    The cache grows by doubling, so that no step copies it. In float32 the numbers are transformers' to rounding.

    Args:
        model: a ``LlamaForCausalLM``.
        cache: transformers' cache of the prompt.
        mask: (R, T), 1 where the prompt has a token.
    """

    def __init__(self, model: Any, cache: Any, mask: Tensor) -> None:
        config = model.config
        self.model = model
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.width = model.model.layers[0].self_attn.head_dim
        self.eps = config.rms_norm_eps
        rows, self.length = mask.shape
        room = 2 * self.length + 64
        self.dtype = model.dtype
        shape = (rows, self.groups, room, self.width)
        self.keys = [self._copy(layer.keys, shape) for layer in cache.layers]
        self.values = [self._copy(layer.values, shape) for layer in cache.layers]
        self.positions = mask.sum(1)
        self.padded = bool((mask == 0).any())
        self.bias = torch.zeros(rows, 1, 1, room, dtype=self.dtype)
        self.bias[:, 0, 0, : self.length].masked_fill_(mask == 0, -math.inf)
        self.inverse = model.model.rotary_emb.inv_freq.float()
        self.scale = model.model.layers[0].self_attn.scaling

    def _copy(self, given: Tensor, shape: tuple[int, ...]) -> Tensor:
        room = given.new_zeros(shape)
        room[:, :, : given.shape[2]] = given
        return room

    def select(self, rows: Tensor) -> None:
        """Let row i go on from row ``rows[i]``."""
        for caches in (self.keys, self.values):
            for layer, kept in enumerate(caches):
                caches[layer] = kept[rows]
        self.positions, self.bias = self.positions[rows], self.bias[rows]

    def _grow(self) -> None:
        more = self.keys[0].shape[2]
        for caches in (self.keys, self.values):
            for layer, kept in enumerate(caches):
                caches[layer] = F.pad(kept, (0, 0, 0, more))
        self.bias = F.pad(self.bias, (0, more))

    def step(self, tokens: Tensor) -> Tensor:
        """Logits (R, V) after one more token (R,)."""
        model, rows = self.model.model, len(tokens)
        if self.length == self.keys[0].shape[2]:
            self._grow()
        at, end = self.length, self.length + 1
        angle = self.positions[:, None].float() * self.inverse
        angle = torch.cat([angle, angle], -1)[:, None]
        cos, sin = angle.cos().to(self.dtype), angle.sin().to(self.dtype)
        bias = self.bias[..., :end] if self.padded else None
        x = model.embed_tokens(tokens)
        half = self.width // 2
        for layer, keys, values in zip(model.layers, self.keys, self.values, strict=True):
            attention, mlp = layer.self_attn, layer.mlp
            y = F.rms_norm(x, x.shape[-1:], layer.input_layernorm.weight, self.eps)
            q = times(attention.q_proj.weight, y).view(rows, self.heads, self.width)
            k = times(attention.k_proj.weight, y).view(rows, self.groups, self.width)
            q = q * cos + torch.cat([-q[..., half:], q[..., :half]], -1) * sin
            k = k * cos + torch.cat([-k[..., half:], k[..., :half]], -1) * sin
            keys[:, :, at] = k
            values[:, :, at] = times(attention.v_proj.weight, y).view(rows, self.groups, self.width)
            # Heads that share keys are rows of one small product.
            q = q.view(rows, self.groups, -1, self.width)
            seen = F.scaled_dot_product_attention(q, keys[:, :, :end], values[:, :, :end], bias, scale=self.scale)
            x = x + times(attention.o_proj.weight, seen.reshape(rows, -1))
            y = F.rms_norm(x, x.shape[-1:], layer.post_attention_layernorm.weight, self.eps)
            y = F.silu(times(mlp.gate_proj.weight, y)) * times(mlp.up_proj.weight, y)
            x = x + times(mlp.down_proj.weight, y)
        x = F.rms_norm(x, x.shape[-1:], model.norm.weight, self.eps)
        self.length, self.positions = end, self.positions + 1
        return times(self.model.lm_head.weight, x).float()


def times(weight: Tensor, x: Tensor) -> Tensor:
    """``x @ weight.T``, with the weight on the left where that is faster in float32."""
    if len(x) in FEW and weight.dtype == torch.float32:
        return (weight @ x.T).T
    return F.linear(x, weight)
