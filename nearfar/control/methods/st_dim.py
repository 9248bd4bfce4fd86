"""ST-DIM: unsupervised state representation learning in Atari."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.control.data.frames import FramePairs
from nearfar.control.method import known
from nearfar.control.spaces import Spaces
from nearfar.losses import st_dim
from nearfar.training import Method, Optimization


class Seen(NamedTuple):
    """What an :class:`AtariEncoder` sees: the whole frame (B, D) and its map (B, H, W, C)."""

    whole: Tensor
    local: Tensor


class AtariEncoder(nn.Module):
    """The convolutions of the Atari agents, with a map of patches on the way.

    For 210 by 160 pixels: filters 32 (8, stride 4), 64 (4, 2), 128 (4, 2; the map), 64 (3, 1); for smaller ones, as the
    downsampled option of the release for 84 by 84: 32 (8, 4), 64 (4, 2), 32 (3, 1; the map).

    Args:
        shape: (C, H, W).
        features: width of the representation.
    """

    def __init__(self, shape: tuple[int, ...], features: int = 256) -> None:
        super().__init__()
        if min(shape[1:]) < 36:
            raise ValueError(f"pictures must be at least 36 pixels wide, got {shape}")
        large = min(shape[1:]) > 100
        sizes = [(32, 8, 4), (64, 4, 2), *([(128, 4, 2), (64, 3, 1)] if large else [(32, 3, 1)])]
        layers: list[nn.Module] = []
        channels = shape[0]
        for width, kernel, stride in sizes:
            layers += [nn.Conv2d(channels, width, kernel, stride), nn.ReLU()]
            nn.init.orthogonal_(layers[-2].weight, 2**0.5)  # type: ignore[arg-type]
            nn.init.zeros_(layers[-2].bias)  # type: ignore[arg-type]
            channels = width
        self.early, self.late = nn.Sequential(*layers[:6]), nn.Sequential(*layers[6:], nn.Flatten())
        with torch.no_grad():
            early = self.early(torch.zeros(1, *shape))
            flat = self.late(early).shape[1]
        self.patch = early.shape[1]
        self.head = nn.Linear(flat, features)

    def seen(self, pixels: Tensor) -> Seen:
        """Whole frames and their maps."""
        early = self.early(pixels.float() / 255)
        return Seen(self.head(self.late(early)), early.permute(0, 2, 3, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.late(self.early(pixels.float() / 255)))


class STDIM(Method):
    """Anand et al., 2019, NeurIPS, arXiv 1906.08226.

    A frame, and each of its patches, finds the patch at the same place of the step before among the batch's. The
    release pairs the first frame of an episode with its last; here pairs begin at the second frame.

    Args:
        spaces: what is observed; taken from the data when not given. One grey or coloured frame, no stack.
        features: width of the representation.
        time: contrast with the step before; otherwise a frame with itself, which is the ablation without time.
        optimization: Adam 3e-4.
    """

    takes = FramePairs
    encoder: AtariEncoder

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        features: int = 256,
        time: bool = True,
        optimization: Optimization = Optimization("adam", lr=3e-4, weight_decay=0.0, schedule="constant", eps=1e-5),
    ) -> None:
        super().__init__(optimization)
        known(spaces).needs_pixels("st-dim")
        self.encoder = AtariEncoder(known(spaces).observation, features)
        self.from_whole = nn.Linear(features, self.encoder.patch)
        self.from_patch = nn.Linear(self.encoder.patch, self.encoder.patch)
        self.time = time

    def views(self, batch: FramePairs) -> tuple[Tensor, Tensor]:
        return batch.frames, batch.before if self.time else batch.frames

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        now, before = (self.encoder.seen(frames) for frames in views)
        return st_dim(self.from_whole(now.whole), self.from_patch(now.local), before.local)

    def encode(self, batch: Tensor | FramePairs) -> Tensor:
        return self.encoder(batch.frames if isinstance(batch, FramePairs) else batch)
