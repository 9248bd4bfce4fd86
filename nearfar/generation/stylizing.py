"""Style transfer's networks: features at some depths, transforms of the deepest, and the way back to pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nearfar.encoders.image import IMAGENET_MEAN, IMAGENET_STD
from nearfar.losses.generation.style import channel_statistics

Mode = Literal["art", "photo"]
BLOCKS: dict[str, tuple[int, ...]] = {"art": (0, 0, 0), "photo": (0, 0)}
VGG_BLOCKS: dict[str, tuple[int, ...]] = {"art": (1, 1, 3), "photo": (1, 1)}
VGG = ((3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 256), (256, 512))
VGG_NUMBERS = (0, 2, 5, 7, 10, 12, 14, 16, 19)
"""Numbers of VGG-19's first nine convolutions in the usual files: ``features.<number>.weight``."""

PACE = 0.1
"""Of a way that is gone in a step."""
LEAST = 16
"""Smallest side of a picture that is styled."""
SHIFT, GRAIN = 2, 0.02
"""How far the second picture of a pair is from the first, in pixels, and the deviation of its own noise."""


class Features(nn.Module):
    """Convolutions to maps at strides 1, 2, 4 and so on: VGG-19 up to its relu4_1 or relu3_1, of any width.

    Args:
        width: of the first map; each other has twice as many channels as the one before. VGG has 64.
        blocks: convolutions of each depth but the deepest beyond its first one; VGG has 1, 1 and 3.

    Shape: pictures (N, 3, H, W) in [0, 1], sides at least 16, to one map more than ``blocks``, after their ReLUs.
    """

    def __init__(self, width: int = 16, blocks: Sequence[int] = BLOCKS["art"]) -> None:
        super().__init__()
        if width < 1 or not blocks:
            raise ValueError(f"width must be at least 1 and blocks some numbers, got {width} and {tuple(blocks)}")
        self.widths = tuple(width * 2**depth for depth in range(len(blocks) + 1))
        depths: list[nn.Module] = [_conv(3, width)]
        for before, after, count in zip(self.widths, self.widths[1:], blocks, strict=False):
            inside = [_conv(before, before) for _ in range(count)]
            depths.append(nn.Sequential(*inside, nn.MaxPool2d(2, ceil_mode=True), _conv(before, after)))
        self.depths = nn.ModuleList(depths)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("size", torch.ones(len(self.widths)))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    mean: Tensor
    std: Tensor
    size: Tensor

    def forward(self, images: Tensor) -> list[Tensor]:
        x = (images - self.mean) / self.std
        found = []
        for depth, size in zip(self.depths, self.size.clone(), strict=True):
            x = depth(x)
            found.append(x / size)
        return found

    @torch.no_grad()
    def measure(self, maps: Sequence[Tensor]) -> None:
        """Bring the maps, of which some are given, to a mean square of 1, slowly: what is taught grows."""
        self.size.mul_(torch.stack([each.square().mean() for each in maps]) ** (0.5 * PACE))


def feature_network(encoder: str | nn.Module, width: int, mode: Mode = "art") -> tuple[nn.Module, bool]:
    """Features at several depths, and whether they know pictures already.

    Args:
        encoder: ``small``, ours, which is to be taught; ``small-random``, the same with random weights that stay;
            ``vgg:<file>``, a ``.safetensors`` file of VGG-19 in its usual layout (``features.0.weight`` ...); or a
            module from pictures in [0, 1] to maps at strides 1, 2, 4 and so on, with their ``widths``.
        width: of ours.
        mode: ``art``, four maps, or ``photo``, three.
    """
    if mode not in BLOCKS:
        raise ValueError(f"mode must be 'art' or 'photo', got {mode!r}")
    if isinstance(encoder, nn.Module):
        if len(getattr(encoder, "widths", ())) < 2:
            raise ValueError(f"{type(encoder).__name__} needs an attribute widths, the channels of its maps")
        return encoder, True
    if encoder in ("small", "small-random"):
        return Features(width, BLOCKS[mode]), encoder == "small-random"
    if encoder.startswith("vgg:"):
        return _vgg(Path(encoder[4:]), VGG_BLOCKS[mode]), True
    raise ValueError(f"encoder must be small, small-random, vgg:<file>, or a module, got {encoder!r}")


def _vgg(path: Path, blocks: Sequence[int]) -> Features:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} with the weights of VGG-19")
    found = Features(64, blocks)
    convolutions = [m for m in found.modules() if isinstance(m, nn.Conv2d)]
    try:
        weights = load_file(path)
        for layer, number, (before, after) in zip(convolutions, VGG_NUMBERS, VGG, strict=False):
            for name, shape in (("weight", (after, before, 3, 3)), ("bias", (after,))):
                value = weights[f"features.{number}.{name}"]
                if tuple(value.shape) != shape:
                    raise ValueError(f"features.{number}.{name} has shape {tuple(value.shape)}, not {shape}")
                getattr(layer, name).data.copy_(value)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path} does not hold the weights of VGG-19: {error}") from error
    return found


class CovarianceTransform(nn.Module):
    """The simple covariance transform of CCPL (SCT): content without its statistics, turned by the style's covariance.

    The content's map is standardised and the style's is centred, channel by channel; both are compressed, the style's
    by 3x3 convolutions; the covariance of the style's channels is applied to the content's; the style's mean is added.

    Args:
        dim: channels of the maps.
        hidden: channels where the covariance is taken.
        between: channels of the layers before; 256 and 128 for art of 512 channels, 128 for photographs of 256.
    """

    def __init__(self, dim: int, hidden: int = 32, between: Sequence[int] | None = None) -> None:
        super().__init__()
        steps = (dim // 2, dim // 4) if between is None else tuple(between)
        widths = (dim, *steps)
        content: list[nn.Module] = []
        style: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            content += [nn.Conv2d(before, after, 1), nn.ReLU()]
            style += [nn.Conv2d(before, after, 3), nn.ReLU()]
        self.content = nn.Sequential(*content, nn.Conv2d(widths[-1], hidden, 1))
        self.style = nn.Sequential(*style, nn.Conv2d(widths[-1], hidden, 1))
        self.expand = nn.Conv2d(hidden, dim, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # content that all but vanishes at the start stays out of what is made
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.least = 2 * len(steps) + 1

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """(N, dim, h, w) of content of that shape and style (N, dim, h', w'), sides of the style at least 3 or 5."""
        if min(style.shape[2:]) < self.least:
            raise ValueError(
                f"a style needs a map of {self.least} x {self.least} cells or more, got {tuple(style.shape[2:])}; "
                "give larger pictures of styles"
            )
        mean, std = (each[..., None, None] for each in channel_statistics(content))
        style_mean = style.mean((2, 3), keepdim=True)
        c, s = self.content((content - mean) / std), self.style(style - style_mean)
        flat = s.flatten(2)
        turned = torch.bmm(torch.bmm(flat, flat.mT) / flat.shape[2], c.flatten(2))
        return self.expand(turned.unflatten(2, c.shape[2:])) + style_mean


class AdaptiveNorm(nn.Module):
    """AdaIN (arXiv 1703.06868): the content's map with the style's means and deviations."""

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        (m, s), (n, t) = channel_statistics(content), channel_statistics(style)
        return (content - m[..., None, None]) / s[..., None, None] * t[..., None, None] + n[..., None, None]


class Decoder(nn.Sequential):
    """From the deepest map back to pixels: the features' layers the other way round, with enlargement by repetition.

    Args:
        widths: channels of the maps.
        small: one convolution for each depth, and norms over the batch behind them, so that hundreds of steps teach it.
    """

    def __init__(self, widths: Sequence[int], *, small: bool = False) -> None:
        layers: list[nn.Module] = []
        for deep, shallow in zip(widths[::-1], widths[-2::-1], strict=False):
            inside = [] if small or deep == widths[-1] else [_conv(deep, deep)]
            layers += [*inside, _conv(deep, shallow, norm=small), _Twice()]
        last = nn.Conv2d(widths[0], 3, 3, padding=1, padding_mode="reflect")
        super().__init__(*layers, _conv(widths[0], widths[0], norm=small), last)


class StyleNetwork(nn.Module):
    """What a style-transfer run keeps: features, transform and decoder.

    Args:
        features: see :func:`feature_network`.
        transform: ``sct`` or ``adain``.
        hidden, between: of the covariance transform.
        small: of the decoder.
    """

    def __init__(
        self,
        features: nn.Module,
        transform: Literal["sct", "adain"] = "sct",
        hidden: int = 32,
        between: Sequence[int] | None = None,
        small: bool = False,
    ) -> None:
        super().__init__()
        if transform not in ("sct", "adain"):
            raise ValueError(f"transform must be 'sct' or 'adain', got {transform!r}")
        widths: Sequence[int] = features.widths  # type: ignore[assignment]
        self.features = features
        self.transform = CovarianceTransform(widths[-1], hidden, between) if transform == "sct" else AdaptiveNorm()
        self.decoder = Decoder(widths, small=small)
        self.stride = 2 ** (len(widths) - 1)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1], not clamped, of content of that shape in the style of others."""
        height, width = content.shape[2:]
        padded = F.pad(content, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        deepest = self.transform(self.features(padded)[-1], self.features(style)[-1])
        return self.decoder(deepest)[..., :height, :width]


def temporal_error(style: Callable[[Tensor], Tensor], images: Tensor, generator: torch.Generator) -> Tensor:
    """(N,) mean absolute difference of two styled pictures of one thing, the second moved by :data:`SHIFT` pixels both
    ways and with noise of :data:`GRAIN` on it, where both show it.

    Args:
        style: from pictures (N, 3, H, W) in [0, 1] to as many of that size.
        images: at least 8 pixels larger than :data:`SHIFT` each way.
        generator: of the noise.
    """
    height, width = ((side - SHIFT) // LEAST * LEAST for side in images.shape[2:])
    if min(height, width) < LEAST:
        raise ValueError(f"pictures of {tuple(images.shape[2:])} pixels are too small to be moved by {SHIFT}")
    first = images[..., :height, :width]
    second = images[..., SHIFT : SHIFT + height, SHIFT : SHIFT + width]
    noise = torch.randn(second.shape, generator=generator).to(second)
    made = [style(each).clamp(0, 1) for each in (first, (second + GRAIN * noise).clamp(0, 1))]
    return (made[0][..., SHIFT:, SHIFT:] - made[1][..., :-SHIFT, :-SHIFT]).abs().mean((1, 2, 3)).cpu()


def fitting(image: Tensor, largest: int) -> Tensor:
    """A picture (1, 3, H, W), brought down to a longer side of ``largest`` where it is larger.

    Raises:
        ValueError: it is smaller than :data:`LEAST`.
    """
    height, width = image.shape[2:]
    if min(height, width) < LEAST:
        raise ValueError(f"a picture of {height} x {width} pixels is too small to be styled; {LEAST} are needed")
    scale = largest / max(height, width)
    if scale >= 1:
        return image
    size = [max(round(side * scale), LEAST) for side in (height, width)]
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)


class _Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="nearest")


def _conv(before: int, after: int, *, norm: bool = False) -> nn.Sequential:
    """A convolution and a ReLU that keep the size of what passes through them at the start."""
    layer = nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect")
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(layer, *([nn.BatchNorm2d(after)] if norm else []), nn.ReLU())
