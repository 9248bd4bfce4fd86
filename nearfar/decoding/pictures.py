"""What a vision-language model is shown of a picture, and the small one that is made for drawn scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nearfar.decoding.engine import Branch
from nearfar.encoders.causal import CausalLM, left_padded, token_rows


def image_token(model: Any) -> int:
    """The id that stands for a place of the picture among the words.

    Raises:
        ValueError: the model reads no pictures.
    """
    names = ("image_token_id", "image_token_index")
    found = next((v for v in (getattr(model.config, name, None) for name in names) if v is not None), None)
    if found is None:
        raise ValueError(f"a {type(model).__name__} reads no pictures; give a vision-language model such as LLaVA")
    return int(found)


def pixels(model: Any, images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 to the model's input (N, 3, S, S): resized to the size of its vision tower, CLIP's mean and
    deviation."""
    side = int(model.config.vision_config.image_size)
    x = images.permute(0, 3, 1, 2).to(model.device, torch.float32) / 255
    if x.shape[-2:] != (side, side):
        x = torch.nn.functional.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    mean = x.new_tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    deviation = x.new_tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    return ((x - mean) / deviation).to(model.dtype)


def places(model: Any) -> int:
    """Tokens that a picture takes."""
    vision = model.config.vision_config
    return int(vision.image_size // vision.patch_size) ** 2


def seen(lm: CausalLM, texts: Sequence[str], values: Tensor, *, new: int = 0) -> Branch:
    """A branch that sees pictures: the image token of each text, put first where there is none, becomes as many as a
    picture has places.

    Args:
        values: (N, 3, S, S), from :func:`pixels`.

    Raises:
        ValueError: a text that speaks of several pictures, or is too long.
    """
    token, count = image_token(lm.model), places(lm.model)
    rows = []
    for row, read in enumerate(token_rows(lm, texts, new=new + count - 1)):
        found = read.count(token)
        if found > 1:
            raise ValueError(f"prompt {row} speaks of {found} pictures; it has one")
        at = read.index(token) if found else 0
        rows.append([*read[:at], *[token] * count, *read[at + found :]])
    ids, mask = left_padded(rows, lm.tokenizer.pad_token_id, device=lm.model.device)
    return Branch(lm.model, ids, mask, {"pixel_values": values})


def unseen(lm: CausalLM, texts: Sequence[str], *, unknown: bool = False, new: int = 0) -> Branch:
    """The same texts without their picture: its token left out, or an unknown word in its place (id 0 where the
    tokenizer has none)."""
    token = image_token(lm.model)
    stand_in = [lm.tokenizer.unk_token_id or 0] if unknown else []
    rows = []
    for read in token_rows(lm, texts, new=new):
        at = read.index(token) if token in read else 0
        rows.append([*read[:at], *stand_in, *(i for i in read[at:] if i != token)])
    ids, mask = left_padded(rows, lm.tokenizer.pad_token_id, device=lm.model.device)
    return Branch(lm.model, ids, mask)


def small_llava(tokenizer: Any, *, size: int, patch: int, layers: int = 2, width: int = 64) -> CausalLM:
    """A LLaVA with random weights: a one-layer vision tower, a projector of two layers, a small Llama.

    Args:
        tokenizer: has the word ``<image>``.
        size, patch: sides of pictures and of their patches, in pixels.
        layers, width: of the language model.
    """
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    vision = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=size,
        patch_size=patch,
        projection_dim=width,
    )
    words = LlamaConfig(
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    settings: dict[str, Any] = {
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "image_seq_length": (size // patch) ** 2,
        "vision_feature_layer": -1,
        "tie_word_embeddings": False,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = LlavaConfig(vision_config=vision, text_config=words, **settings)
    return CausalLM(LlavaForConditionalGeneration(config).eval(), tokenizer)
