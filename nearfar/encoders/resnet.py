"""Residual networks (He et al., 2016) for ImageNet-sized and CIFAR-sized pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor, nn

Norm = Literal["bn", "gn"]
GROUPS = 32
"""Groups of a group norm (Wu and He, 2018), fewer where they would hold less than four channels each."""


def _norm(kind: str) -> Callable[[int], nn.Module]:
    if kind not in get_args(Norm):
        raise ValueError(f"norm must be one of {', '.join(get_args(Norm))}, got {kind!r}")
    return nn.BatchNorm2d if kind == "bn" else lambda width: nn.GroupNorm(math.gcd(GROUPS, width // 4), width)


def _conv(width_in: int, width_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, kernel, stride, padding=kernel // 2, bias=False)


class _Residual(nn.Module):
    """A block whose last norm starts at zero, so that it begins as the identity."""

    expansion: int

    def __init__(
        self, path: nn.Sequential, width_in: int, width_out: int, stride: int, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.path = path
        last = path[-1].weight
        assert isinstance(last, Tensor)
        nn.init.zeros_(last)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and width_in == width_out
            else nn.Sequential(_conv(width_in, width_out, 1, stride), norm(width_out))
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.path(x) + self.shortcut(x))


class _Basic(_Residual):
    expansion = 1

    def __init__(self, width_in: int, width: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        path = nn.Sequential(
            _conv(width_in, width, 3, stride),
            norm(width),
            nn.ReLU(inplace=True),
            _conv(width, width, 3),
            norm(width),
        )
        super().__init__(path, width_in, width, stride, norm)


class _Bottleneck(_Residual):
    expansion = 4

    def __init__(self, width_in: int, width: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        path = nn.Sequential(
            _conv(width_in, width, 1),
            norm(width),
            nn.ReLU(inplace=True),
            _conv(width, width, 3, stride),
            norm(width),
            nn.ReLU(inplace=True),
            _conv(width, width * 4, 1),
            norm(width * 4),
        )
        super().__init__(path, width_in, width * 4, stride, norm)


DEPTHS: dict[int, tuple[type[_Basic] | type[_Bottleneck], tuple[int, ...]]] = {
    18: (_Basic, (2, 2, 2, 2)),
    34: (_Basic, (3, 4, 6, 3)),
    50: (_Bottleneck, (3, 4, 6, 3)),
    101: (_Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """ResNet-18/34/50/101 without its classifier.

    Args:
        depth: 18, 34, 50 or 101.
        small_images: the CIFAR stem, a 3x3 convolution of stride 1 and no pooling, for pictures up to about 64
            pixels; otherwise the ImageNet stem (7x7 of stride 2, max pooling).
        width: multiplier of every width (ResNet-50 x2 is ``ResNet(50, width=2)``).
        norm: ``bn`` shares statistics over the batch; ``gn`` (group norm) treats every image by itself, which small
            batches and batches in chunks (``Training.chunk``) need.

    Shape: ``(N, 3, H, W) -> (N, C, h, w)``; ``out_features`` is C: 512 for depths 18 and 34, 2048 above.
    """

    def __init__(self, depth: int = 18, *, small_images: bool = False, width: int = 1, norm: Norm = "bn") -> None:
        super().__init__()
        normalise = _norm(norm)
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {sorted(DEPTHS)}, got {depth}")
        self.depth, self.small_images, self.width, self.norm = depth, small_images, width, norm
        block, repeats = DEPTHS[depth]
        base = 64 * width
        stem: list[nn.Module] = [_conv(3, base, 3)] if small_images else [_conv(3, base, 7, 2)]
        stem += [normalise(base), nn.ReLU(inplace=True)]
        if not small_images:
            stem.append(nn.MaxPool2d(3, 2, 1))
        self.stem = nn.Sequential(*stem)
        stages: list[nn.Module] = []
        features = base
        for stage, count in enumerate(repeats):
            blocks: list[nn.Module] = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(features, base * 2**stage, stride, normalise))
                features = base * 2**stage * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.out_features = features
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(self.stem(x))


class SmallConvNet(nn.Module):
    """Four 3x3 convolutions with norms, each of stride 2: seconds on a CPU, for pictures of 16 to 64 pixels.

    ``norm`` is ``bn`` or ``gn``, as for :class:`ResNet`.

    Shape: ``(N, 3, H, W) -> (N, 4 * width, H / 16, W / 16)``, rounded up.
    """

    def __init__(self, width: int = 32, *, norm: Norm = "bn") -> None:
        super().__init__()
        normalise = _norm(norm)
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [_conv(before, after, 3, 2), normalise(after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.out_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
