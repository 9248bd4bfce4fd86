"""The same CLIP under the names of open_clip and of transformers, both ways.

open_clip keeps the projections of queries, keys and values as one matrix, and the two last projections transposed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nearfar.common.files import read_whole

__all__ = ["CONFIG", "WEIGHTS", "described", "model_of", "to_open_clip"]

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
PICKLED = "open_clip_pytorch_model.bin"
MOST = 1 << 22

_AROUND = {
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding": "text_model.embeddings.token_embedding",
    "ln_final": "text_model.final_layer_norm",
}
_TURNED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_BLOCKS = {
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "transformer.resblocks.": "text_model.encoder.layers.",
}
_INSIDE = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def described(model: Any, mean: list[float], std: list[float]) -> dict[str, Any]:
    """open_clip's configuration of a transformers ``CLIPModel``.

    Raises:
        ValueError: open_clip has no such model.
    """
    vision, text = model.config.vision_config, model.config.text_config
    activations = {vision.hidden_act, text.hidden_act}
    if len(activations) > 1 or not activations <= {"gelu", "quick_gelu"}:
        raise ValueError(f"open_clip has both towers with gelu or quick_gelu, and these have {', '.join(activations)}")
    if {vision.layer_norm_eps, text.layer_norm_eps} != {1e-5}:
        raise ValueError("open_clip's norms have an epsilon of 1e-5, and these have another")
    return {
        "model_cfg": {
            "embed_dim": model.config.projection_dim,
            "quick_gelu": activations == {"quick_gelu"},
            "vision_cfg": {
                "image_size": vision.image_size,
                "patch_size": vision.patch_size,
                "width": vision.hidden_size,
                "layers": vision.num_hidden_layers,
                "head_width": vision.hidden_size // vision.num_attention_heads,
                "mlp_ratio": vision.intermediate_size / vision.hidden_size,
            },
            "text_cfg": {
                "context_length": text.max_position_embeddings,
                "vocab_size": text.vocab_size,
                "width": text.hidden_size,
                "heads": text.num_attention_heads,
                "layers": text.num_hidden_layers,
                "mlp_ratio": text.intermediate_size / text.hidden_size,
            },
        },
        "preprocess_cfg": {"mean": mean, "std": std},
    }


def to_open_clip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a transformers ``CLIPModel`` under open_clip's names."""
    back = {theirs: ours for ours, theirs in _AROUND.items()}
    blocks = {theirs: ours for ours, theirs in _BLOCKS.items()}
    inside = {theirs: ours for ours, theirs in _INSIDE.items()}
    found: dict[str, Tensor] = {}
    for ours, theirs in _TURNED.items():
        found[ours] = weights[theirs].T.contiguous()
    for name, value in weights.items():
        if name in _TURNED.values():
            continue
        block = re.fullmatch(r"(.+\.layers\.)(\d+)\.(.+)\.(weight|bias)", name)
        if block is None:
            whole, part, kind = name.rpartition(".")
            found[back[name] if name in back else f"{back[whole]}{part}{kind}"] = value
            continue
        place, number, part, kind = block.groups()
        third = re.fullmatch(r"self_attn\.([qkv])_proj", part)
        if third is None:
            found[f"{blocks[place]}{number}.{inside[part]}.{kind}"] = value
        elif third[1] == "q":
            three = [weights[f"{place}{number}.self_attn.{each}_proj.{kind}"] for each in "qkv"]
            found[f"{blocks[place]}{number}.attn.in_proj_{kind}"] = torch.cat(three)
    return found


def model_of(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """A transformers ``CLIPModel`` with the weights of a folder of open_clip, and mean and deviation of its pixels.

    Raises:
        ValueError: the folder holds another kind of model than a CLIP of two transformers, or damaged files.
    """
    from transformers import CLIPConfig, CLIPModel

    said = json.loads(read_whole(folder / CONFIG, MOST))
    cfg, pixels = said.get("model_cfg", said), said.get("preprocess_cfg", {})
    vision, text = cfg.get("vision_cfg", {}), cfg.get("text_cfg", {})
    if not isinstance(vision.get("layers"), int) or "timm_model_name" in vision or "hf_model_name" in text:
        raise ValueError(f"{folder} is an open_clip of other towers than two transformers; take one of transformers")
    act = "quick_gelu" if cfg.get("quick_gelu") else "gelu"
    given = _weights(folder)
    config = CLIPConfig(
        projection_dim=cfg["embed_dim"],
        vision_config={
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_size": vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision.get("head_width", 64),
            "intermediate_size": int(vision["width"] * vision.get("mlp_ratio", 4.0)),
            "hidden_act": act,
        },
        text_config={
            "max_position_embeddings": text["context_length"],
            "vocab_size": text["vocab_size"],
            "hidden_size": text["width"],
            "num_attention_heads": text["heads"],
            "num_hidden_layers": text["layers"],
            "intermediate_size": int(text["width"] * text.get("mlp_ratio", 4.0)),
            "hidden_act": act,
            "eos_token_id": text["vocab_size"] - 1,  # open_clip reads a caption at its largest id
            "bos_token_id": text["vocab_size"] - 2,
        },
    )
    model = CLIPModel(config)
    found = {name: _theirs(name, given) for name in model.state_dict()}
    model.load_state_dict(found)
    return model, {"image_mean": pixels.get("mean"), "image_std": pixels.get("std")}


def _weights(folder: Path) -> dict[str, Tensor]:
    try:
        if (folder / WEIGHTS).is_file():
            return load_file(folder / WEIGHTS)
        return torch.load(folder / PICKLED, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{folder} has no {WEIGHTS} and no {PICKLED}") from error
    except (SafetensorError, RuntimeError, EOFError) as error:
        raise ValueError(f"the weights in {folder} are damaged: {error}") from error


def _theirs(name: str, given: Mapping[str, Tensor]) -> Tensor:
    """The weight that transformers calls so, of open_clip's weights."""
    for ours, theirs in _TURNED.items():
        if name == theirs:
            return given[ours].T.contiguous()
    for ours, theirs in _AROUND.items():
        if name == theirs or name.startswith(f"{theirs}."):
            return given[ours + name.removeprefix(theirs)]
    for ours, theirs in _BLOCKS.items():
        if not name.startswith(theirs):
            continue
        number, _, rest = name.removeprefix(theirs).partition(".")
        part, _, kind = rest.rpartition(".")
        third = re.fullmatch(r"self_attn\.([qkv])_proj", part)
        if third is not None:
            return given[f"{ours}{number}.attn.in_proj_{kind}"].chunk(3)["qkv".index(third[1])].clone()
        inside = next(mine for mine, their in _INSIDE.items() if their == part)
        return given[f"{ours}{number}.{inside}.{kind}"]
    raise KeyError(name)
