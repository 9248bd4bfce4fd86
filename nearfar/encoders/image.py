"""The door every image takes: pixels in, one vector per image out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.extras import needed
from nearfar.encoders.places import there
from nearfar.encoders.resnet import ResNet, SmallConvNet
from nearfar.encoders.vit import VisionTransformer
from nearfar.spelling import one_of

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IMAGE_ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "small-conv": SmallConvNet,
    "small-conv-gn": lambda: SmallConvNet(norm="gn"),
    "resnet18": lambda: ResNet(18),
    "resnet18-cifar": lambda: ResNet(18, small_images=True),
    "resnet18-gn": lambda: ResNet(18, norm="gn"),
    "resnet18-cifar-gn": lambda: ResNet(18, small_images=True, norm="gn"),
    "resnet34": lambda: ResNet(34),
    "resnet34-cifar": lambda: ResNet(34, small_images=True),
    "resnet50": lambda: ResNet(50),
    "resnet50-gn": lambda: ResNet(50, norm="gn"),
    "resnet50-cifar": lambda: ResNet(50, small_images=True),
    "resnet101": lambda: ResNet(101),
    "vit-nano": lambda: VisionTransformer(64, 2, 4, patch=8),
    "vit-mini": lambda: VisionTransformer(96, 4, 4, patch=4),
    "vit-ti16": lambda: VisionTransformer(192, 12, 3),
    "vit-s16": lambda: VisionTransformer(384, 12, 6),
    "vit-b16": lambda: VisionTransformer(768, 12, 12),
    "vit-l16": lambda: VisionTransformer(1024, 24, 16),
}


class ImageEncoder(nn.Module):
    """A backbone with what surrounds it: pixel normalisation before, average pooling behind.

    Accepts uint8 images in [0, 255] or float images in [0, 1], so that views and raw data take the same door.

    Args:
        backbone: maps (N, 3, H, W) to (N, C), to maps (N, C, h, w) that are averaged over positions, to tokens
            (N, T, C) of which the first (class) token is taken, or to a transformers output holding one of them.
        out_features: C. May be left out when the backbone says it (``out_features``, ``num_features``,
            ``embed_dim`` or a ``config.hidden_size``).
        mean, std: statistics of float pixels, one value per colour.

    Shape: ``(N, 3, H, W) -> (N, C)``.

    Raises:
        ValueError: when the output size is not known.
    """

    by_example = ("forward", "maps")
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        out_features: int | None = None,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.backbone = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.out_features = out_features or _output_size(backbone)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def standardized(self, images: Tensor) -> Tensor:
        """Pixels as the backbone gets them: float, centred and scaled per colour."""
        if images.ndim != 4 or images.shape[1] != self.mean.shape[1]:
            raise ValueError(f"expected images of shape (N, {self.mean.shape[1]}, H, W), got {tuple(images.shape)}")
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return (pixels - self.mean).div_(self.std).contiguous(memory_format=torch.channels_last)

    def maps(self, images: Tensor) -> Any:
        """What the backbone says before pooling."""
        return self.backbone(self.standardized(images))

    def forward(self, images: Tensor) -> Tensor:
        return _pool(self.maps(images))


def _pool(output: Any) -> Tensor:
    pooled = getattr(output, "pooler_output", None)
    if isinstance(pooled, Tensor):
        return pooled.flatten(1)
    output = getattr(output, "last_hidden_state", output)
    if output.ndim == 4:
        return output.mean((2, 3))
    if output.ndim == 3:
        return output[:, 0]
    return output


def _output_size(backbone: nn.Module) -> int:
    for name in ("out_features", "num_features", "embed_dim"):
        size = getattr(backbone, name, None)
        if isinstance(size, int):
            return size
    config = getattr(backbone, "config", None)
    sizes = getattr(config, "hidden_sizes", None)
    if sizes:
        return int(sizes[-1])
    if isinstance(getattr(config, "hidden_size", None), int):
        return config.hidden_size  # type: ignore[union-attr]
    raise ValueError(
        f"the output size of {type(backbone).__name__} is not known: wrap it as "
        "ImageEncoder(module, out_features=...), or give it an attribute out_features"
    )


def image_encoder(encoder: str | nn.Module) -> ImageEncoder:
    """An image encoder by name, or from any module whose output size is known.

    Names: ``small-conv``, ``resnet18`` ... ``resnet101``, with ``-cifar`` for small pictures and ``-gn``
    for group norm (some of them, see ``IMAGE_ENCODERS``); ``vit-ti16``, ``vit-s16``, ``vit-b16``, ``vit-l16`` (patches
    of 16 pixels) and ``vit-mini`` (of 4, four narrow layers); ``hf:<model>`` for
    a pretrained transformers backbone and ``hf-config:<model>`` for its architecture with random weights;
    ``timm:<model>`` for a timm model with random weights, ``timm-pretrained:<model>`` with its weights;
    ``torchvision:<model>`` and ``torchvision-pretrained:<model>`` likewise, without their classifiers.

    Raises:
        ValueError: unknown name. ImportError: timm or torchvision asked for and not installed.
    """
    if isinstance(encoder, ImageEncoder):
        return encoder
    if isinstance(encoder, nn.Module):
        return ImageEncoder(encoder)
    kind, _, name = encoder.partition(":")
    if kind in ("hf", "hf-config"):
        return _from_transformers(name, pretrained=kind == "hf")
    if kind in ("torchvision", "torchvision-pretrained"):
        return _from_torchvision(name, pretrained=kind == "torchvision-pretrained")
    if kind in ("timm", "timm-pretrained"):
        return _from_timm(name, pretrained=kind == "timm-pretrained")
    if encoder not in IMAGE_ENCODERS:
        raise ValueError(
            f"unknown encoder {encoder!r}{one_of(encoder, IMAGE_ENCODERS, are='accepted are')}, hf:<model>, "
            "hf-config:<model>, timm:<model>, timm-pretrained:<model>, torchvision:<model>, "
            "torchvision-pretrained:<model>, or a module"
        )
    return ImageEncoder(IMAGE_ENCODERS[encoder]())


def _from_transformers(name: str, *, pretrained: bool) -> ImageEncoder:
    from transformers import AutoConfig, AutoModel

    if pretrained:
        loaded = AutoModel.from_pretrained(there(name), trust_remote_code=False, output_loading_info=True)
        model, missing = loaded[0], loaded[1]["missing_keys"]
        if any(key.startswith("pooler.") for key in missing):
            model.pooler = None  # the checkpoint has none, and one with random weights says nothing
    else:
        model = AutoModel.from_config(AutoConfig.from_pretrained(there(name), trust_remote_code=False))
    return ImageEncoder(model)


def _from_timm(name: str, *, pretrained: bool) -> ImageEncoder:
    timm = needed("timm", "timm", "an encoder of timm")
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except RuntimeError as error:  # what timm says of unknown names, and of weights that it does not have
        raise ValueError(f"timm has no model {name!r}: {error}") from error
    config = getattr(model, "pretrained_cfg", None) or {}
    pixels = {part: config[part] for part in ("mean", "std") if config.get(part)}
    return ImageEncoder(model, **pixels)


def _from_torchvision(name: str, *, pretrained: bool) -> ImageEncoder:
    try:
        models = needed("torchvision.models", "torchvision", "an encoder of torchvision")
    except RuntimeError as error:  # its operators are compiled for one torch
        raise ImportError(f"the torchvision that is installed is not made for torch {torch.__version__}") from error
    try:
        model = models.get_model(name, weights="DEFAULT" if pretrained else None)
    except (ValueError, KeyError) as error:
        raise ValueError(f"torchvision has no model {name!r}: {error}") from error
    linear = [(place, part) for place, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise ValueError(f"torchvision's {name} ends in no linear classifier that could be taken off")
    place, classifier = linear[-1]
    model.set_submodule(place, nn.Identity())
    model.published = f"torchvision:{name}:{place}"
    return ImageEncoder(model, classifier.in_features)
