"""Segmentation backbones: an image in, feature maps at several depths out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nearfar.encoders.image import IMAGENET_MEAN, IMAGENET_STD


class SmallPyramid(nn.Module):
    """Four stages of two 3x3 convolutions at strides 2, 4, 8 and 16: minutes on a CPU.

    Shape: (N, 3, H, W) to four maps of widths ``width * (1, 2, 4, 4)``.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.widths = (width, 2 * width, 4 * width, 4 * width)
        before = 3
        stages = []
        for after in self.widths:
            stages.append(nn.Sequential(_block(before, after, 2), _block(after, after, 1)))
            before = after
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _block(width_in: int, width_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(width_out),
        nn.ReLU(inplace=True),
    )


SEGFORMER_SIZES = {
    "b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
}


class SegFormerPyramid(nn.Module):
    """The Mix Transformer of SegFormer through transformers: strides 4, 8, 16 and 32.

    Args:
        name: ``b0`` ... ``b5`` for random weights, or the name of a pretrained model.
        pretrained: take the model's weights too.
    """

    def __init__(self, name: str, *, pretrained: bool = True) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerModel

        if name in SEGFORMER_SIZES:
            widths, depths = SEGFORMER_SIZES[name]
            self.model = SegformerModel(SegformerConfig(hidden_sizes=list(widths), depths=list(depths)))
        elif not pretrained:
            self.model = SegformerModel(SegformerConfig.from_pretrained(name))
        else:
            self.model = SegformerModel.from_pretrained(name, trust_remote_code=False)
        self.widths: tuple[int, ...] = tuple(self.model.config.hidden_sizes)

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.model(x, output_hidden_states=True).hidden_states)


class PyramidEncoder(nn.Module):
    """A backbone behind pixel normalisation; uint8 in [0, 255] or float in [0, 1].

    ``forward`` gives one vector per image (the mean of the deepest map), ``maps`` the feature maps.
    """

    by_example = ("maps",)
    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        widths = getattr(backbone, "widths", None)
        if not isinstance(widths, Sequence) or not widths:
            raise ValueError(
                f"{type(backbone).__name__} does not say the widths of its feature maps; give it an attribute "
                "widths, one number per map"
            )
        self.backbone = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.widths = tuple(int(w) for w in widths)
        self.out_features = self.widths[-1]
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def maps(self, images: Tensor) -> list[Tensor]:
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"expected images of shape (N, 3, H, W), got {tuple(images.shape)}")
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        pixels = (pixels - self.mean) / self.std
        return self.backbone(pixels.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[-1].mean((2, 3))


def pyramid_encoder(encoder: str | nn.Module) -> PyramidEncoder:
    """``small-pyramid``, ``segformer-b0`` ... ``segformer-b5`` (random weights), ``hf:<model>`` (a pretrained Mix
    Transformer), or a module with an attribute ``widths`` that returns a list of maps."""
    if isinstance(encoder, PyramidEncoder):
        return encoder
    if isinstance(encoder, nn.Module):
        return PyramidEncoder(encoder)
    if encoder == "small-pyramid":
        return PyramidEncoder(SmallPyramid())
    if encoder.startswith("hf-config:"):
        return PyramidEncoder(SegFormerPyramid(encoder[10:], pretrained=False))
    if encoder.startswith("hf:"):
        return PyramidEncoder(SegFormerPyramid(encoder[3:]))
    size = encoder.removeprefix("segformer-")
    if size != encoder and size in SEGFORMER_SIZES:
        return PyramidEncoder(SegFormerPyramid(size))
    raise ValueError(
        f"unknown encoder {encoder!r}; accepted are small-pyramid, segformer-b0 to segformer-b5, hf:<model>, or a "
        "module with an attribute widths"
    )
