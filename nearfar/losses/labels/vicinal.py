"""Pictures mixed of a labelled domain and an unlabelled one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, floating, full_precision, tensors


@full_precision
def mixed_cross_entropy(logits: Tensor, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
    """``share CE(first) + (1 - share) CE(second)``, one number (N,) for each row.

    Args:
        logits: (N, C).
        first, second: (N,) class numbers.
        share: of the first, in [0, 1]; a number or (N,).
    """
    (x,) = floating(logits=logits)
    return share * F.cross_entropy(x, first, reduction="none") + (1 - share) * F.cross_entropy(
        x, second, reduction="none"
    )


@tensors
@full_precision
def vicinal_contrast(
    upper: Tensor,
    lower: Tensor,
    source: Tensor,
    target: Tensor,
    shares: tuple[Tensor, Tensor],
    *,
    lower_weights: str = "code",
) -> Tensor:
    """Just above and just below the balance of two pictures the labels should swap (CoVi, arXiv 2111.13353).

    What the target-dominant mix is taken for is the source-dominant mix's minor label, and the reverse. The released
    code gives the target's pseudo label its small share on the target-dominant side; ``consistent`` gives it the
    large one.

    Args:
        upper, lower: (N, C) logits of mixes with a little more source, and a little more target.
        source, target: (N,) labels of the source picture, pseudo labels of the target picture.
        shares: (N,) of the source in either mix.
        lower_weights: ``code`` or ``consistent``.
    """
    choice("lower_weights", lower_weights, ("code", "consistent"))
    above, below = shares
    taken_up, taken_low = upper.detach().argmax(1), lower.detach().argmax(1)
    up = mixed_cross_entropy(upper, source, taken_low, above)
    pair = (target, taken_up) if lower_weights == "code" else (taken_up, target)
    low = mixed_cross_entropy(lower, *pair, below)
    return torch.stack([up.mean(), low.mean()]).mean()
