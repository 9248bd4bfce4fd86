"""The door every sound takes: waves in, one vector per sound out, by way of a log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nearfar.encoders.mel import LogMel, Mel
from nearfar.encoders.resnet import ResNet, SmallConvNet
from nearfar.spelling import one_of

__all__ = [
    "SOUND_ENCODERS",
    "ConvNet",
    "Pictured",
    "RecurrentNet",
    "SoundEncoder",
    "ThinResNet",
    "TimeDelayNet",
    "sound_encoder",
]

Pool = Literal["max", "mean and max"]


class SoundEncoder(nn.Module):
    """A network on log-mel spectrograms, with what makes them.

    Args:
        network: maps log-mel spectrograms (N, F, bands) to (N, D) and says D as ``out_features``.
        mel: what the spectrograms are made with.
        rate: samples a second of the waves.

    Shape: waves ``(N, T)`` to ``(N, D)``.
    """

    by_example = ("forward",)

    def __init__(self, network: nn.Module, mel: Mel, rate: int) -> None:
        super().__init__()
        self.front = LogMel(mel, rate)
        self.network = network
        size = getattr(network, "out_features", None)
        if not isinstance(size, int):
            raise ValueError(f"{type(network).__name__} must say the width of its output as out_features")
        self.out_features = size

    def forward(self, waves: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(waves.device.type, enabled=False):
            spectrogram = self.front(waves)
        return self.network(spectrogram)


class ConvNet(nn.Module):
    """Blocks of 3x3 convolutions with batch norm, each followed by 2x2 averaging, then pooling (PANNs, 1912.10211).

    Args:
        widths: channels of each block.
        convolutions: of each block.
        pool: ``max`` over time and bands (COLA); ``mean and max`` is the mean over bands, then the sum of mean and
            maximum over time (PANNs).
        bands: number of bands, for a batch norm of the input; 0 for none.
        stride: of the first convolution.
    """

    def __init__(
        self, widths: Sequence[int], *, convolutions: int = 2, pool: Pool = "max", bands: int = 0, stride: int = 1
    ) -> None:
        super().__init__()
        self.standard = nn.BatchNorm1d(bands) if bands else nn.Identity()
        layers: list[nn.Module] = []
        before = 1
        for number, width in enumerate(widths):
            for _ in range(convolutions):
                layers += [nn.Conv2d(before, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                before, stride = width, 1
            if number < len(widths) - 1:
                layers.append(nn.AvgPool2d(2, ceil_mode=True))
        self.layers = nn.Sequential(*layers)
        self.pool = pool
        self.out_features = before

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = self.standard(spectrogram.transpose(1, 2)).transpose(1, 2)
        maps = self.layers(x.unsqueeze(1))
        if self.pool == "max":
            return maps.amax((2, 3))
        steps = maps.mean(3)
        return steps.mean(2) + steps.amax(2)


class RecurrentNet(nn.Module):
    """Convolutions that keep time, then a GRU whose last state and mean are the output: it hears what comes first.

    Args:
        bands: number of bands.
        width: channels of the convolutions.
        out_features: width of the output, even.
    """

    def __init__(self, bands: int, *, width: int = 32, out_features: int = 128) -> None:
        super().__init__()
        self.standard = nn.BatchNorm1d(bands)
        self.layers = nn.Sequential(
            *(nn.Conv1d(bands, 2 * width, 5, 2, padding=2, bias=False), nn.BatchNorm1d(2 * width), nn.ReLU()),
            *(nn.Conv1d(2 * width, 2 * width, 5, 2, padding=2, bias=False), nn.BatchNorm1d(2 * width), nn.ReLU()),
        )
        self.memory = nn.GRU(2 * width, out_features // 2, batch_first=True)
        self.out_features = out_features

    def forward(self, spectrogram: Tensor) -> Tensor:
        steps = self.layers(self.standard(spectrogram.transpose(1, 2))).transpose(1, 2)
        states, last = self.memory(steps)
        return torch.cat([last[0], states.mean(1)], 1)


class _Squeeze(nn.Module):
    """Squeeze and excitation (Hu et al., 2018)."""

    def __init__(self, width: int, reduction: int = 8) -> None:
        super().__init__()
        inner = max(width // reduction, 1)
        self.gate = nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


class _Block(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, padding=1, bias=False),
            nn.ReLU(),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            _Squeeze(width),
        )
        same = stride == 1 and before == width
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


class ThinResNet(nn.Module):
    """A residual network for voices: squeeze and excitation, and self-attentive pooling over time.

    Each band of a spectrogram is first standardised over its time (instance norm), which takes the channel and the
    level off. The output is standardised over the batch, so that cosines say something from the first step on. The
    defaults are the thin ResNet-34 of speaker verification.

    Args:
        bands: number of bands.
        blocks: residual blocks of the four stages.
        widths: channels of the stages.
        out_features: width of the output.
        stride: of the first convolution.
    """

    def __init__(
        self,
        bands: int,
        *,
        blocks: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (16, 32, 64, 128),
        out_features: int = 512,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.standard = nn.InstanceNorm1d(bands)
        layers: list[nn.Module] = [nn.Conv2d(1, widths[0], 3, stride, padding=1), nn.ReLU(), nn.BatchNorm2d(widths[0])]
        before, height = widths[0], -(-bands // stride)
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for number in range(count):
                halved = 2 if stage and not number else 1
                layers.append(_Block(before, width, halved))
                before, height = width, -(-height // halved)
        self.layers = nn.Sequential(*layers)
        self.attention = nn.Sequential(nn.Linear(before * height, before), nn.Tanh(), nn.Linear(before, 1, bias=False))
        self.project = nn.Sequential(nn.Linear(before * height, out_features), nn.BatchNorm1d(out_features))
        self.out_features = out_features

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = self.standard(spectrogram.transpose(1, 2)).unsqueeze(1)
        steps = self.layers(x).flatten(1, 2).transpose(1, 2)
        weights = self.attention(steps).softmax(1)
        return self.project((weights * steps).sum(1))


class TimeDelayNet(nn.Module):
    """Convolutions over time that reach ever farther, and the mean and deviation of what they say (x-vectors).

    Each band is first standardised over its time, and the output over the batch, as in :class:`ThinResNet`; it is
    several times as fast.

    Args:
        bands: number of bands.
        width: channels of the convolutions.
        out_features: width of the output.
    """

    def __init__(self, bands: int, *, width: int = 96, out_features: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.InstanceNorm1d(bands)]
        before = bands
        for kernel, stride, dilation in ((5, 2, 1), (3, 1, 1), (3, 1, 2), (1, 1, 1)):
            padding = dilation * (kernel // 2)
            layers += [
                nn.Conv1d(before, width, kernel, stride, padding, dilation, bias=False),
                nn.ReLU(),
                nn.BatchNorm1d(width),
            ]
            before = width
        self.layers = nn.Sequential(*layers)
        self.project = nn.Sequential(nn.Linear(2 * width, out_features), nn.BatchNorm1d(out_features))
        self.out_features = out_features

    def forward(self, spectrogram: Tensor) -> Tensor:
        steps = self.layers(spectrogram.transpose(1, 2))
        deviation = (steps.var(2, correction=0) + 1e-5).sqrt()
        return self.project(torch.cat([steps.mean(2), deviation], 1))


class _EfficientNet(nn.Module):
    """EfficientNet-B0 of one channel with global maximum pooling, as in COLA."""

    out_features = 1280

    def __init__(self) -> None:
        super().__init__()
        from transformers import EfficientNetConfig, EfficientNetModel

        config = EfficientNetConfig(
            num_channels=1, image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280
        )
        self.backbone = EfficientNetModel(config)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.backbone(spectrogram.unsqueeze(1)).last_hidden_state.amax((2, 3))


class _HTSAT(nn.Module):
    """HTSAT-tiny, the hierarchical transformer of LAION's CLAP, from random weights."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        from transformers import ClapAudioConfig, ClapAudioModel

        config = ClapAudioConfig(num_mel_bins=bands)
        self.backbone = ClapAudioModel(config)
        self.out_features = int(config.hidden_size)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.backbone(input_features=spectrogram.unsqueeze(1)).pooler_output


class Pictured(nn.Module):
    """A network of pictures, which sees a spectrogram, standardised, in all three colours; the mean over its places.

    Args:
        backbone: maps (N, 3, H, W) to (N, C, h, w) and says C as ``out_features``.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_features = int(backbone.out_features)  # type: ignore[arg-type]

    def forward(self, spectrogram: Tensor) -> Tensor:
        spread = spectrogram.std((1, 2), keepdim=True) + 1e-5
        seen = (spectrogram - spectrogram.mean((1, 2), keepdim=True)) / spread
        return self.backbone(seen.transpose(1, 2).unsqueeze(1).expand(-1, 3, -1, -1)).mean((2, 3))


SOUND_ENCODERS: dict[str, Callable[[int], nn.Module]] = {
    "small-conv": lambda bands: ConvNet((16, 32, 64, 128), convolutions=1, bands=bands, stride=2),
    "small-recurrent": lambda bands: RecurrentNet(bands),
    "small-tdnn": lambda bands: TimeDelayNet(bands),
    "small-resnet": lambda bands: ThinResNet(
        bands, blocks=(1, 1, 1, 1), widths=(8, 16, 32, 64), out_features=128, stride=2
    ),
    "small-sound": lambda bands: Pictured(SmallConvNet()),
    "resnet18-sound": lambda bands: Pictured(ResNet(18)),
    "resnet50-sound": lambda bands: Pictured(ResNet(50)),
    "efficientnet-b0": lambda bands: _EfficientNet(),
    "thin-resnet34": lambda bands: ThinResNet(bands),
    "cnn10": lambda bands: ConvNet((64, 128, 256, 512), pool="mean and max", bands=bands),
    "cnn14": lambda bands: ConvNet((64, 128, 256, 512, 1024, 2048), pool="mean and max", bands=bands),
    "htsat-tiny": _HTSAT,
}


def sound_encoder(encoder: str | nn.Module, rate: int, mel: Mel = Mel()) -> SoundEncoder:
    """A sound encoder by name, or from a network on log-mel spectrograms (N, F, bands) that says its ``out_features``.

    Raises:
        ValueError: unknown name, or a network whose width is not known.
    """
    if isinstance(encoder, SoundEncoder):
        return encoder
    if isinstance(encoder, nn.Module):
        return SoundEncoder(encoder, mel, rate)
    if encoder not in SOUND_ENCODERS:
        raise ValueError(
            f"unknown encoder {encoder!r}{one_of(encoder, SOUND_ENCODERS, are='accepted are')}, or a module"
        )
    return SoundEncoder(SOUND_ENCODERS[encoder](mel.bands), mel, rate)
