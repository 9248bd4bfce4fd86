"""Equivariance: one augmentation of many images should act on their embeddings as one rotation (CARE)."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, number, paired, unit_rows


@full_precision
def rotational_equivariance(z1: Tensor, z2: Tensor, *, group_size: int, normalize: bool = True) -> Tensor:
    r"""CARE's loss of equivariance (arXiv 2306.13924; released code ``utils.py``, ``equivariance_loss``).

    All images of a group were changed by the same augmentation for ``z1`` and by the same other one for ``z2``. Some
    rotation (or reflection) carries one to the other exactly if all inner products agree:

    .. math::
        E = \operatorname{mean}_{\text{groups}} \; \frac{2}{n} \sum_i \sum_{j \ne i}
            \big( z_{1i} \cdot z_{1j} - z_{2i} \cdot z_{2j} \big)^2 ,

    rows L2-normalised, n of them in a group. The sum over j is not a mean, so the weight that suits it depends on n. It
    is 0 for embeddings that are all alike: it needs a loss that spreads them beside it. Augmentations that differ
    inside a group turn it into one of invariance. Memory is n for each row.

    Args:
        z1: (N, D), group after group.
        z2: (N, D), row i the same image under the group's second augmentation.
        group_size: n, at least 2; N must be a multiple of it.
        normalize: L2-normalise every row first; ``False`` takes inner products as they are.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating, or a group size that is no integer.
        ValueError: N no multiple of ``group_size``, or shapes or devices that do not fit.
    """
    z1, z2 = paired(z1=z1, z2=z2)
    number("group_size", group_size, at_least=2)
    if len(z1) % group_size:
        raise ValueError(f"z1 must hold whole groups: {len(z1)} rows are no multiple of group_size={group_size}")
    groups = [(unit_rows(z) if normalize else z).unflatten(0, (-1, group_size)) for z in (z1, z2)]
    first, second = (g @ g.mT for g in groups)
    gap = (first - second).square()
    own = torch.eye(group_size, dtype=torch.bool, device=gap.device)  # agrees by itself, but for zero rows
    return 2 * gap.masked_fill(own, 0.0).sum(2).mean()
