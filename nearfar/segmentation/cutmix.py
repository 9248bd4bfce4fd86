"""CutMix between the images of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.common.share import for_examples, own_rows, whole_batch


def cut_mix_mask(count: int, height: int, width: int, generator: torch.Generator, share: float = 0.5) -> Tensor:
    """``count`` masks (count, height, width), false inside one random rectangle each.

    The rectangle covers ``share`` of the image; its width is uniform between that share of the image's width and the
    whole, as in ReCo's and Space Engage's released code.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share must be in (0, 1), got {share}")
    u = for_examples(lambda n: torch.rand(n, 3, generator=generator, device=generator.device), count)
    across = share * width + u[:, :1] * (1 - share) * width
    down = share * height * width / across
    left, top = u[:, 1:2] * (width - across), u[:, 2:] * (height - down)
    columns = torch.arange(width, device=u.device) + 0.5
    rows = torch.arange(height, device=u.device) + 0.5
    inside_x = (columns >= left) & (columns < left + across)
    inside_y = (rows >= top) & (rows < top + down)
    return ~(inside_y.unsqueeze(2) & inside_x.unsqueeze(1))


def with_the_next(mask: Tensor, x: Tensor) -> Tensor:
    """``x`` (N, ...) where the mask (N, H, W) is true, and the next example's elsewhere."""
    shaped = mask.unsqueeze(1) if x.ndim == 4 else mask
    return torch.where(shaped, x, own_rows(whole_batch(x).roll(-1, 0)))
