"""Our ResNets and vision transformers under the names that torchvision and timm give their weights.

The networks are the same; names are all that differ, and that theirs add positions to the tokens by a table, which a
transformer of ours computes. So weights go there, and come back where the positions are the computed ones.
"""

from __future__ import annotations

import math
import re
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nearfar.encoders.resnet import ResNet
from nearfar.encoders.vit import VisionTransformer, sine_positions

__all__ = ["Style", "from_published", "published", "published_name"]

Style = Literal["torchvision", "timm"]

_CONVOLUTIONS = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}
_LAYER = {
    "torchvision": {
        "self_attn.in_proj_weight": "self_attention.in_proj_weight",
        "self_attn.in_proj_bias": "self_attention.in_proj_bias",
        "self_attn.out_proj": "self_attention.out_proj",
        "linear1": "mlp.0",
        "linear2": "mlp.3",
        "norm1": "ln_1",
        "norm2": "ln_2",
    },
    "timm": {
        "self_attn.in_proj_weight": "attn.qkv.weight",
        "self_attn.in_proj_bias": "attn.qkv.bias",
        "self_attn.out_proj": "attn.proj",
        "linear1": "mlp.fc1",
        "linear2": "mlp.fc2",
        "norm1": "norm1",
        "norm2": "norm2",
    },
}
_AROUND = {
    "torchvision": {"embed": "conv_proj", "class_token": "class_token", "blocks.norm": "encoder.ln"},
    "timm": {"embed": "patch_embed.proj", "class_token": "cls_token", "blocks.norm": "norm"},
}
_BLOCK = {"torchvision": "encoder.layers.encoder_layer_{}.", "timm": "blocks.{}."}
_POSITIONS = {"torchvision": "encoder.pos_embedding", "timm": "pos_embed"}


def published_name(backbone: nn.Module, name: str, style: Style) -> str:
    """What torchvision or timm call a weight of ours.

    Raises:
        ValueError: the network is neither a :class:`ResNet` nor a :class:`VisionTransformer`, or has no such weight.
    """
    if isinstance(backbone, ResNet):
        found = _of_resnet(name)
    elif isinstance(backbone, VisionTransformer):
        found = _of_transformer(name, style)
    else:
        raise ValueError(f"a {type(backbone).__name__} is no network of {style}'s")
    if found is None:
        raise ValueError(f"{name} is no weight of a {type(backbone).__name__}")
    return found


def published(backbone: nn.Module, style: Style, size: tuple[int, int] | None = None) -> dict[str, Tensor]:
    """The weights of a ResNet or vision transformer under torchvision's or timm's names.

    Args:
        size: height and width of the pictures in pixels, for a transformer's table of positions.
    """
    found = {published_name(backbone, name, style): value for name, value in backbone.state_dict().items()}
    if isinstance(backbone, VisionTransformer):
        if size is None:
            raise ValueError("a transformer's table of positions is of pictures of one size; size is needed")
        grid = sine_positions(size[0] // backbone.patch, size[1] // backbone.patch, backbone.out_features)
        found[_POSITIONS[style]] = torch.cat([torch.zeros(1, grid.shape[1]), grid])[None]
    return found


def from_published(backbone: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under torchvision's or timm's names as those of our ResNet or vision transformer.

    A classifier among them is left out, and so are positions where they are the ones that ours computes. Weights of
    ours, and of other networks, come back as they are.
    """
    if not isinstance(backbone, ResNet | VisionTransformer):
        return weights
    for style in get_args(Style):
        ours = {published_name(backbone, name, style): name for name in backbone.state_dict()}
        if ours.keys() <= weights.keys():
            computed = isinstance(backbone, VisionTransformer) and _computed(backbone, weights, style)
            spare = _POSITIONS[style] if computed else ""
            return {
                ours.get(name, name): value
                for name, value in weights.items()
                if not re.match(r"(fc|head|heads)\.", name) and name != spare
            }
    return weights


def _computed(backbone: VisionTransformer, weights: dict[str, Tensor], style: Style) -> bool:
    """Whether a table of positions is that of pictures of some size."""
    table = weights.get(_POSITIONS[style])
    side = math.isqrt(table.shape[1] - 1) if table is not None and table.ndim == 3 and table.shape[1] > 1 else 0
    if table is None or table.shape != (1, 1 + side * side, backbone.out_features):
        return False
    grid = sine_positions(side, side, backbone.out_features)
    return not table[0, 0].any() and torch.allclose(table[0, 1:].float(), grid, atol=1e-5)


def _of_resnet(name: str) -> str | None:
    if stem := re.fullmatch(r"stem\.([01])\.(\w+)", name):
        return f"{_CONVOLUTIONS[stem[1]]}.{stem[2]}"
    if block := re.fullmatch(r"stages\.(\d)\.(\d+)\.(path|shortcut)\.(\d)\.(\w+)", name):
        stage, number, part, place, kind = block.groups()
        inside = f"downsample.{place}" if part == "shortcut" else _CONVOLUTIONS[place]
        return f"layer{int(stage) + 1}.{number}.{inside}.{kind}"
    return None


def _of_transformer(name: str, style: Style) -> str | None:
    if block := re.fullmatch(r"blocks\.layers\.(\d+)\.(.+)", name):
        for ours, theirs in _LAYER[style].items():
            if block[2] == ours or block[2].startswith(f"{ours}."):
                return _BLOCK[style].format(block[1]) + theirs + block[2].removeprefix(ours)
        return None
    for ours, theirs in _AROUND[style].items():
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    return None
