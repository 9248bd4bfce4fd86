"""Which steps of sounds are hidden, and which others each is told from (wav2vec 2.0)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.common.share import for_examples

__all__ = ["draw_distractors", "span_mask"]


def span_mask(
    count: int, steps: int, chance: float, length: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """(count, steps) boolean, true in stretches that begin anywhere with a ``chance``, and at one place at the least.

    Stretches may overlap, and the last ones end where the sound does.
    """
    drawn = for_examples(lambda n: torch.rand(n, steps, generator=generator, device=device), count)
    begins = drawn < chance
    begins.scatter_(1, drawn.argmin(1, keepdim=True), True)
    return F.max_pool1d(F.pad(begins.float(), (length - 1, 0)).unsqueeze(1), length, 1)[:, 0] > 0


def draw_distractors(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(N, T, count) of the hidden steps of each row, drawn for every step, perhaps twice and never itself.

    A hidden step that is the only one of its row has itself, which is no distractor.
    """
    n, steps = mask.shape
    hidden = mask.sum(1)
    place = torch.argsort((~mask).long(), dim=1, stable=True)  # hidden steps first, in order
    drawn = for_examples(lambda k: torch.rand(k, steps, count, generator=generator, device=mask.device), n)
    number = (drawn * (hidden - 1).clamp_min(1)[:, None, None]).long()
    own = (mask.cumsum(1) - 1)[:, :, None]  # a hidden step's own number among them
    number = number + ((number >= own) & mask[:, :, None])
    number = number.minimum((hidden - 1).clamp_min(0)[:, None, None])
    return place.gather(1, number.flatten(1)).view(n, steps, count)
