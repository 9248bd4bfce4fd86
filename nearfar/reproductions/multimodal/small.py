"""Towers small enough for many arms, aligned as CLIP does it."""

from __future__ import annotations

import torch
from transformers import BertConfig, BertModel

from nearfar.encoders.text import TextEncoder
from nearfar.encoders.tokens import HashTokenizer
from nearfar.multimodal.data import CaptionedImages
from nearfar.multimodal.data.composed_scenes import ComposedScenes
from nearfar.reproductions.arms import build, train
from nearfar.training import Method

LENGTH = 40


def small_text() -> TextEncoder:
    """A BERT of two layers of width 64 that hashes words to 1,024 ids; its weights are torch's next random numbers."""
    config = BertConfig(
        vocab_size=1024,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=LENGTH,
        pad_token_id=0,
    )
    return TextEncoder(BertModel(config, add_pooling_layer=False), HashTokenizer(1024, LENGTH))


def aligned_towers(scenes: ComposedScenes, seed: int, steps: int = 250) -> Method:
    """CLIP of a small conv net and :func:`small_text`, trained on pictures and captions of scenes."""
    pairs = CaptionedImages(scenes.images, scenes.captions)
    torch.manual_seed(seed)
    method = build("clip", pairs, seed, text_encoder=small_text())
    return train("clip", method, pairs, seed, steps=steps, batch_size=64)
