"""Where training looks: one random window and mirror for every appearance of a scene and its label map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.segmentation.classes import IGNORE

ATTEMPTS = 10


@dataclass(frozen=True)
class Crop:
    """A random window of the scene, mirrored half of the time. By itself it takes the whole scene.

    Args:
        size: (height, width) of what is trained on, in pixels; the scene's own when not given.
        scale: by how much the scene is enlarged before the window is cut, drawn uniformly; at least what the window
            needs to fit. DAFormer keeps it at 1, most supervised recipes take (0.5, 2).
        flip: probability of mirroring left to right.
        max_share: a window in which one class covers a larger share of the labelled pixels is drawn again, up to
            10 times (0.75 in mmsegmentation's recipes); 1 accepts every window.
    """

    size: tuple[int, int] | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.5
    max_share: float = 0.75

    def __post_init__(self) -> None:
        for name in ("size", "scale"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"crop.size must be (height, width) in pixels, got {self.size}")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"crop.scale must be (low, high) with 0 < low <= high, got {self.scale}")
        for name in ("flip", "max_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"crop.{name} must be in [0, 1], got {getattr(self, name)}")

    def __call__(
        self,
        images: Tensor,
        labels: Tensor | None,
        generator: torch.Generator,
        *,
        rare: Tensor | None = None,
        rare_pixels: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Cut and mirror scenes, every one its own way and all of its pictures alike.

        Args:
            images: (N, ..., 3, H, W) uint8.
            labels: (N, H, W) integers; ``None`` for unlabelled images.
            generator: the source of the windows, on the images' device.
            rare: (N,) a class that the window of scene n should show (-1: none): windows with at most
                ``rare_pixels`` pixels of it are drawn again, up to 10 times.
            rare_pixels: at least 0.

        Returns:
            images (N, ..., 3, h, w) and labels (N, h, w), the latter all 255 when there were none.
        """
        height, width = images.shape[-2:]
        size = self.size or (height, width)
        if labels is None:
            labels = torch.full((len(images), height, width), IGNORE, device=images.device)
        wanted = [-1] * len(images) if rare is None else rare.tolist()
        # All numbers of all attempts at once: how many were needed does not change what the next scene draws.
        device = generator.device
        draws = for_examples(lambda n: torch.rand(n, ATTEMPTS, 3, generator=generator, device=device), len(images))
        cut = [
            self._one(image, label, size, numbers, int(c), rare_pixels)
            for image, label, numbers, c in zip(images, labels, draws.tolist(), wanted, strict=True)
        ]
        return flip_together(
            torch.stack([image for image, _ in cut]), torch.stack([label for _, label in cut]), generator, self.flip
        )

    def _one(
        self, image: Tensor, label: Tensor, size: tuple[int, int], draws: list[list[float]], rare: int, least: float
    ) -> tuple[Tensor, Tensor]:
        height, width = label.shape
        if self.scale == (1.0, 1.0) and size == (height, width):
            return image, label
        fits = max(size[0] / height, size[1] / width)
        for scale, down, across in draws:
            factor = max(self.scale[0] + scale * (self.scale[1] - self.scale[0]), fits)
            h, w = min(round(size[0] / factor), height), min(round(size[1] / factor), width)
            top, left = int(down * (height - h + 1)), int(across * (width - w + 1))
            window = label[top : top + h, left : left + w]
            if self._accepts(window, rare, least * (h * w) / (size[0] * size[1])):
                break
        image = image[..., top : top + h, left : left + w]
        if (h, w) == size:
            return image, window
        flat = image.reshape(-1, 1, h, w).float()
        resized = F.interpolate(flat, size=size, mode="bilinear", align_corners=False, antialias=True)
        resized = resized.round().clamp(0, 255).to(image.dtype).view(*image.shape[:-2], *size)
        nearest = F.interpolate(window[None, None].float(), size=size, mode="nearest-exact")
        return resized, nearest[0, 0].to(label.dtype)

    def _accepts(self, window: Tensor, rare: int, least: float) -> bool:
        if rare >= 0 and int((window == rare).sum()) <= least:
            return False
        counts = torch.bincount(window[window != IGNORE].flatten())
        total = int(counts.sum())
        return total == 0 or int(counts.max()) <= self.max_share * total


def flip_together(
    images: Tensor, labels: Tensor, generator: torch.Generator, probability: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Mirror a share of the scenes left to right, every appearance and the label map alike."""
    drawn = for_examples(lambda n: torch.rand(n, generator=generator, device=images.device), len(images))
    mirrored = drawn < probability
    shape = (-1, *[1] * (images.ndim - 1))
    images = torch.where(mirrored.view(shape), images.flip(-1), images)
    return images, torch.where(mirrored.view(-1, 1, 1), labels.flip(-1), labels)
