"""Random parts of pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.common.share import for_examples


def cuttings(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A random square (N, C, side, side) of each picture, mirrored and turned by a right angle half of the time each.

    Raises:
        ValueError: the pictures are smaller.
    """
    n, _, height, width = images.shape
    if min(height, width) < side:
        raise ValueError(
            f"the pictures have {height} x {width} pixels, and patches of {side} are cut from them; give --size "
            f"{side} or more, or a smaller patch"
        )
    drawn = for_examples(lambda count: torch.rand(count, 4, generator=generator, device=images.device), n)
    top, left = ((drawn[:, k] * (length - side + 1)).long() for k, length in enumerate((height, width)))
    rows, columns = (start[:, None] + torch.arange(side, device=images.device) for start in (top, left))
    found = images[torch.arange(n, device=images.device)[:, None, None], :, rows[:, :, None], columns[:, None]]
    found = found.permute(0, 3, 1, 2)
    flip, turn = (drawn[:, k, None, None, None] < 0.5 for k in (2, 3))
    found = torch.where(flip, found.flip(3), found)
    return torch.where(turn, found.mT, found)
