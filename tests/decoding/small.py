"""Small models with random weights, and the plain way to do what the engine does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nearfar.decoding.engine import Branch, Look
from nearfar.encoders.causal import CausalLM, causal_model, left_padded, word_tokenizer

WORDS = tuple(f"w{i}" for i in range(37))
SHORT = {"max_position_embeddings": 64, "tie_word_embeddings": False}


def llama(seed: int = 0, *, layers: int = 3, width: int = 32, groups: int = 2) -> CausalLM:
    torch.manual_seed(seed)
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 4, "intermediate_size": 48}
    found = causal_model(
        {"model_type": "llama", "num_key_value_heads": groups, **shape, **SHORT}, tokenizer=word_tokenizer(WORDS)
    )
    return louder(found)


def gpt2(seed: int = 0) -> CausalLM:
    torch.manual_seed(seed)
    shape = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return louder(causal_model(shape, tokenizer=word_tokenizer(WORDS)))


def louder(lm: CausalLM) -> CausalLM:
    """Weights so large that the next word depends on the ones before."""
    with torch.no_grad():
        for p in lm.model.parameters():
            if p.ndim == 2:
                p.mul_(4.0)
    return lm


def rows(seed: int, lengths: tuple[int, ...]) -> list[list[int]]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 40, (n,), generator=g).tolist() for n in lengths]


def branch(lm: CausalLM, ids: list[list[int]], **rest: Any) -> Branch:
    return Branch(lm.model, *left_padded(ids, 0), **rest)


@torch.no_grad()
def slow(lm: CausalLM, ids: list[int], new: list[int]) -> Tensor:
    """Logits of the next word after one prompt and what was written, from scratch."""
    return lm.model(torch.tensor([ids + new])).logits[0, -1].float()


def slow_greedy(looks: list[tuple[CausalLM, list[int]]], combine: Any, steps: int) -> list[int]:
    new: list[int] = []
    for _ in range(steps):
        found = combine([Look(slow(lm, ids, new)[None]) for lm, ids in looks])
        new.append(int(found.argmax()))
    return new
