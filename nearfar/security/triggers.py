"""Backdoor triggers: what an attacker puts on a picture."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["patch", "noise-patch", "blended", "wave", "warped"]
KINDS: tuple[Kind, ...] = ("patch", "noise-patch", "blended", "wave", "warped")


def trigger(images: Tensor, kind: Kind, generator: torch.Generator, *, share: float = 1 / 14) -> Tensor:
    """Pictures with a trigger on them; formulas as in the released CleanCLIP code, sizes relative to the picture.

    ``patch``: a yellow square at a random place. ``noise-patch``: a square of the picture's mean colour plus noise, new
    for every picture. ``blended``: 0.8 of the picture and 0.2 of uniform noise. ``wave``: 0.8 of the picture and 0.2 of
    it plus a sine of six waves across, 60/255 high. ``warped``: pixels moved by a random field of about one pixel.

    Args:
        images: (N, 3, H, W) in [0, 1].
        kind: one of :data:`KINDS`.
        generator: draws places and noise.
        share: side of a square as a share of the picture's, at least one pixel; 16 of 224 pixels as released.
    """
    if kind not in KINDS:
        raise ValueError(f"a trigger is one of {', '.join(KINDS)}, got {kind!r}")
    n, channels, height, width = images.shape
    draw: dict[str, Any] = {"generator": generator, "device": images.device}
    if kind == "blended":
        return 0.8 * images + 0.2 * torch.rand(images.shape, **draw)
    if kind == "wave":
        wave = 60 / 255 * torch.sin(2 * math.pi * 6 * torch.arange(width, device=images.device) / width)
        return (0.8 * images + 0.2 * (images + wave)).clamp(0, 1)
    if kind == "warped":
        field = torch.rand(1, height, width, 2, **draw) * 2 - 1
        field = field / field.abs().mean() / max(height, width)
        axes = [torch.linspace(-1, 1, side, device=images.device) for side in (height, width)]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)
        return F.grid_sample(images, (grid + field).clamp(-1, 1).expand(n, -1, -1, -1), align_corners=True)
    side = max(round(share * height), 1)
    top = torch.randint(0, height - side + 1, (n,), **draw)
    left = torch.randint(0, width - side + 1, (n,), **draw)
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows = (y >= top[:, None]) & (y < top[:, None] + side)
    columns = (x >= left[:, None]) & (x < left[:, None] + side)
    inside = (rows[:, None, :, None] & columns[:, None, None, :]).expand(n, channels, -1, -1)
    if kind == "patch":
        colour = images.new_tensor([1.0, 1.0, 0.0])[None, :, None, None].expand_as(images)
    else:
        colour = (images.mean((2, 3), keepdim=True) + torch.randn(images.shape, **draw)).clamp(0, 1)
    return torch.where(inside, colour, images)
