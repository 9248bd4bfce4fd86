"""Picture encoders as torchvision, timm and transformers open them: their names, their files, the same vectors.

What is written is read back before it is kept: by the library where it is installed, otherwise into a network of ours.
``make test-exports`` opens every kind by the real libraries.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nearfar.encoders import ImageEncoder, ResNet, VisionTransformer
from nearfar.encoders.causal import without_bars
from nearfar.encoders.names import Style, published
from nearfar.exporting.graphs import PREPROCESSING
from nearfar.exporting.kept import kept, write_json
from nearfar.training.door import Door

__all__ = ["to_timm", "to_torchvision", "to_transformers"]

WEIGHTS = "model.safetensors"


def to_torchvision(door: Door, folder: Path, about: Mapping[str, Any]) -> None:
    """A folder with ``model.safetensors`` under torchvision's names; ``preprocessing.json`` has the lines that open it.

    Args, Raises: as of :func:`nearfar.exporting.graphs.to_onnx`; a ``ValueError`` also where torchvision has no such
        network.
    """
    encoder, size = _pictures(door, "torchvision")
    backbone = encoder.backbone
    opened = ["import torch, torchvision", "from safetensors.torch import load_file"]
    if isinstance(backbone, ResNet):
        _plain_width(backbone, "torchvision")
        norm = ""
        if backbone.norm == "gn":
            norm = ", norm_layer=lambda c: torch.nn.GroupNorm(__import__('math').gcd(32, c // 4), c)"
        opened += [f'model = torchvision.models.get_model("resnet{backbone.depth}"{norm})']
        if backbone.small_images:
            opened += [
                "model.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)",
                "model.maxpool = torch.nn.Identity()",
            ]
        opened += ["model.fc = torch.nn.Identity()"]
    elif isinstance(backbone, VisionTransformer):
        shape = _shape(backbone)
        arguments = {
            "image_size": _square(size),
            "patch_size": backbone.patch,
            "num_layers": shape["depth"],
            "num_heads": shape["heads"],
            "hidden_dim": backbone.out_features,
            "mlp_dim": shape["hidden"],
        }
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        opened += [f"model = torchvision.models.VisionTransformer({given})", "model.heads = torch.nn.Identity()"]
    elif getattr(backbone, "published", "").startswith("torchvision:"):
        name, emptied = backbone.published.split(":")[1:]  # type: ignore[union-attr, operator]
        opened += [f'model = torchvision.models.get_model("{name}")']
        opened += [f'model.set_submodule("{emptied}", torch.nn.Identity())']
    else:
        raise ValueError(_no_network(backbone, "torchvision"))
    opened += ['model.load_state_dict(load_file(f"{folder}/model.safetensors"))', "model.eval()"]
    opened += ["vectors = model(pixels)"]
    _write(door, folder, {**about, "format": "torchvision", "open": opened}, "torchvision")


def to_timm(door: Door, folder: Path, about: Mapping[str, Any]) -> None:
    """A folder that ``timm.create_model("local-dir:FOLDER", pretrained=True)`` opens.

    Args, Raises: as of :func:`to_torchvision`.
    """
    encoder, size = _pictures(door, "timm")
    backbone = encoder.backbone
    arguments: dict[str, Any] = {}
    if type(backbone).__module__.partition(".")[0] == "timm":
        architecture = str(backbone.pretrained_cfg["architecture"])  # type: ignore[index]
    elif isinstance(backbone, ResNet):
        _plain_width(backbone, "timm")
        if backbone.small_images or backbone.norm != "bn":
            which = "the stem for small pictures" if backbone.small_images else "group norm in these groups"
            raise ValueError(f"timm has no ResNet with {which}; write torchvision, which can be told, or onnx")
        architecture = f"resnet{backbone.depth}"
    elif isinstance(backbone, VisionTransformer):
        shape = _shape(backbone)
        architecture = "vit_base_patch16_224"
        arguments = {
            "img_size": _square(size),
            "patch_size": backbone.patch,
            "embed_dim": backbone.out_features,
            "depth": shape["depth"],
            "num_heads": shape["heads"],
            "mlp_ratio": shape["hidden"] / backbone.out_features,
        }
    else:
        raise ValueError(_no_network(backbone, "timm"))
    pixels = {
        "input_size": [3, *size],
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": encoder.mean.flatten().tolist(),
        "std": encoder.std.flatten().tolist(),
        "num_classes": 0,
        "fixed_input_size": bool(arguments),
        "first_conv": "patch_embed.proj" if arguments else "conv1",
        "classifier": "head" if arguments else "fc",
    }
    config: dict[str, Any] = {"architecture": architecture, "num_classes": 0, "num_features": encoder.out_features}
    if arguments:
        config["model_args"] = arguments
    opened = [
        "import timm",
        'model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()',
        "vectors = model(pixels)",
    ]

    about = {**about, "format": "timm", "open": opened}
    _write(door, folder, about, "timm", {"config.json": {**config, "pretrained_cfg": pixels}})


def to_transformers(door: Door, folder: Path, about: Mapping[str, Any]) -> None:
    """A folder that ``AutoModel.from_pretrained`` opens, with its ``AutoImageProcessor``.

    Args, Raises: as of :func:`to_torchvision`.
    """
    from transformers import AutoModel, PreTrainedModel

    encoder, size = _pictures(door, "transformers")
    backbone, without = encoder.backbone, {}
    if isinstance(backbone, PreTrainedModel):
        model: Any = backbone
    elif isinstance(backbone, ResNet):
        _plain_width(backbone, "transformers")
        if backbone.small_images or backbone.norm != "bn":
            raise ValueError("transformers has no ResNet with this stem or norm; write torchvision or onnx")
        model = _as_resnet(backbone)
    elif isinstance(backbone, VisionTransformer):
        model, without = _as_vit(backbone, _square(size)), {"add_pooling_layer": False}
    else:
        raise ValueError(_no_network(backbone, "transformers"))
    mean, std = encoder.mean.flatten().tolist(), encoder.std.flatten().tolist()
    pixels = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": min(size)},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": {"height": size[0], "width": size[1]},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": mean,
        "image_std": std,
    }
    said = model(pixel_values=encoder.standardized(_images(door)))
    pooled = f"found.last_hidden_state{'[:, 0]' if said.last_hidden_state.ndim == 3 else '.mean((2, 3))'}"
    if getattr(said, "pooler_output", None) is not None:
        pooled = "found.pooler_output.flatten(1)"
    opened = [
        "from transformers import AutoModel",
        f"model = AutoModel.from_pretrained(folder{', add_pooling_layer=False' if without else ''}).eval()",
        "found = model(pixel_values=pixels)",
        f"vectors = {pooled}",
    ]

    def write(place: Path) -> None:
        with without_bars():
            model.save_pretrained(place)
        write_json(place / "preprocessor_config.json", pixels)
        write_json(place / PREPROCESSING, _said(door, {**about, "format": "transformers", "open": opened}))

    def read(place: Path) -> np.ndarray:
        with without_bars():
            again = AutoModel.from_pretrained(place, trust_remote_code=False, **without).eval()
        return ImageEncoder(again, encoder.out_features, mean=mean, std=std)(_images(door)).numpy()

    _kept(door, folder, write, read)


def _pictures(door: Door, library: str) -> tuple[ImageEncoder, tuple[int, int]]:
    if not isinstance(door.module, ImageEncoder) or [*door.inputs] != ["images"]:
        raise ValueError(
            f"{library} takes systems that are one picture encoder and no more; write onnx or torch-export"
        )
    size = door.inputs["images"].shape[2:]
    return door.module, (int(size[0]), int(size[1]))


def _images(door: Door) -> Tensor:
    return door.inputs["images"]


def _no_network(backbone: nn.Module, library: str) -> str:
    return (
        f"{library} has no network like a {type(backbone).__name__}; it takes resnets and vision transformers "
        "(vit-...), and onnx and torch-export take anything"
    )


def _plain_width(backbone: ResNet, library: str) -> None:
    if backbone.width != 1:
        raise ValueError(f"{library} has no ResNet {backbone.width} times as wide; write onnx or torch-export")


def _shape(backbone: VisionTransformer) -> dict[str, int]:
    layers: Any = backbone.blocks.layers
    return {
        "depth": len(layers),
        "heads": layers[0].self_attn.num_heads,
        "hidden": layers[0].linear1.out_features,
    }


def _square(size: tuple[int, int]) -> int:
    if size[0] != size[1]:
        raise ValueError(
            f"a transformer's table of positions is of square pictures, and these have {size[0]}x{size[1]}"
        )
    return size[0]


def _write(
    door: Door,
    folder: Path,
    about: Mapping[str, Any],
    style: Style,
    beside: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write weights under the library's names, and further files; open them again."""
    encoder, size = _pictures(door, style)
    backbone = encoder.backbone
    ours = isinstance(backbone, ResNet | VisionTransformer)
    weights = published(backbone, style, size) if ours else backbone.state_dict()

    def write(place: Path) -> None:
        plain = {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in weights.items()}
        save_file(plain, place / WEIGHTS)
        for name, value in (beside or {}).items():
            write_json(place / name, value)
        write_json(place / PREPROCESSING, _said(door, about))

    def read(place: Path) -> np.ndarray:
        if style == "timm" and importlib.util.find_spec("timm") is not None:
            timm: Any = importlib.import_module("timm")
            model = timm.create_model(f"local-dir:{place}", pretrained=True, num_classes=0).eval()
            return model(encoder.standardized(_images(door))).numpy()
        found = load_file(place / WEIGHTS)
        if ours:
            names = dict(zip(weights, backbone.state_dict(), strict=False))  # positions come last, and are computed
            found = {names[theirs]: value for theirs, value in found.items() if theirs in names}
        again = copy.deepcopy(encoder)
        again.backbone.load_state_dict(found)
        return again(_images(door)).numpy()

    _kept(door, folder, write, read)


def _kept(door: Door, folder: Path, write: Callable[[Path], None], read: Callable[[Path], np.ndarray]) -> None:
    with torch.no_grad():
        kept(folder, lambda: door.vectors().numpy(), write, read)


def _said(door: Door, about: Mapping[str, Any]) -> dict[str, Any]:
    """What ``preprocessing.json`` says of pixels that the library's model is given already normalised."""
    pixels = {**door.says, "values": "(pixel / 255 - mean) / std, of each colour"}
    sizes = ["images", 3, *_images(door).shape[2:]]
    return {**about, "inputs": {"pixels": {"dtype": "float32", "shape": sizes}}, "preprocessing": pixels}


def _as_resnet(backbone: ResNet) -> nn.Module:
    """The same network as transformers builds it."""
    from transformers import ResNetConfig, ResNetModel

    stages: Any = backbone.stages
    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[stage[0].path[0].out_channels * stage[0].expansion for stage in stages],
        depths=[len(stage) for stage in stages],
        layer_type="basic" if backbone.depth < 50 else "bottleneck",
    )
    model = ResNetModel(config)
    # Both list a block's weights in the order in which it uses them, but for the way around it, which is named.
    ours = backbone.state_dict()
    around = [value for name, value in ours.items() if "shortcut" in name]
    through = [value for name, value in ours.items() if "shortcut" not in name]
    theirs = model.state_dict()
    given = {name: (around if "shortcut" in name else through).pop(0) for name in theirs}
    model.load_state_dict(given)
    return model.eval()


def _as_vit(backbone: VisionTransformer, size: int) -> nn.Module:
    """The same network as transformers builds it."""
    from transformers import ViTConfig, ViTModel

    shape = _shape(backbone)
    config = ViTConfig(
        hidden_size=backbone.out_features,
        num_hidden_layers=shape["depth"],
        num_attention_heads=shape["heads"],
        intermediate_size=shape["hidden"],
        layer_norm_eps=1e-6,
        image_size=size,
        patch_size=backbone.patch,
    )
    model = ViTModel(config, add_pooling_layer=False)
    weights = published(backbone, "timm", (size, size))
    model.load_state_dict({name: _of_vit(name, weights) for name in model.state_dict()})
    return model.eval()


_PARTS = (  # what transformers calls the parts of a block, in its several versions, and what timm does
    (r"q_proj|attention\.query|attention\.attention\.query", "attn.qkv", 0),
    (r"k_proj|attention\.key|attention\.attention\.key", "attn.qkv", 1),
    (r"v_proj|attention\.value|attention\.attention\.value", "attn.qkv", 2),
    (r"o_proj|attention\.output\.dense", "attn.proj", None),
    (r"layernorm_before", "norm1", None),
    (r"layernorm_after", "norm2", None),
    (r"fc1|intermediate\.dense", "mlp.fc1", None),
    (r"fc2|output\.dense", "mlp.fc2", None),
)


def _of_vit(name: str, weights: Mapping[str, Tensor]) -> Tensor:
    """The weight that transformers calls so, of weights under timm's names."""
    around = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
        "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "layernorm.weight": "norm.weight",
        "layernorm.bias": "norm.bias",
    }
    if name in around:
        return weights[around[name]]
    block = re.search(r"\.(\d+)\.(.+)\.(weight|bias)$", f".{name}")
    assert block is not None, name
    part, third = next((part, third) for pattern, part, third in _PARTS if re.search(pattern, block[2]))
    found = weights[f"blocks.{block[1]}.{part}.{block[3]}"]
    return found if third is None else found.chunk(3)[third].clone()
