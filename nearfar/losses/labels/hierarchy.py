"""Classes at several levels of a tree."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision
from nearfar.losses.contrast.labels import supcon


@full_precision
def hmlc(
    z1: Tensor,
    z2: Tensor,
    levels: Tensor,
    *,
    temperature: float = 0.1,
    kind: str = "hmce",
    layer_weight: str = "exp",
    base_temperature: float | None = None,
) -> Tensor:
    r"""One supervised contrast per level of a hierarchy, from fine to coarse (HMLC, arXiv 2204.13207; ``losses.py``).

    At step l = 1, ..., L - 1 positives agree in the first L - l columns. Between steps one row of each distinct
    remaining label stays, the first, so that coarse levels contrast one representative of each finer group. The last
    column is never contrasted by itself; give one that tells every picture apart, or repeat the finest classes' column
    to have them all. With w the layer weight:

    - ``hmc``: :math:`\sum_l w(1/l) L_l`;
    - ``hce``: :math:`\sum_l \max(L_l, \max_{m < l} L_m)`, a coarse pair may not be farther apart than a finer one;
    - ``hmce``: :math:`\sum_l w(1/l) \max(L_l, \max_{m < l} L_m)`,

    divided by L. As released the maximum is not detached.

    Args:
        z1, z2: (N, D), both views.
        levels: (N, L) class numbers, coarse to fine, L at least 2.
        temperature: above 0.
        kind: ``hmc``, ``hce`` or ``hmce``.
        layer_weight: w is ``exp`` or ``two`` (2 to the power).
        base_temperature: as for :func:`supcon`; the released code has 0.07.

    Raises:
        ValueError: fewer than two levels, or shapes and words that do not fit.
    """
    choice("kind", kind, ("hmc", "hce", "hmce"))
    choice("layer_weight", layer_weight, ("exp", "two"))
    first, second = embeddings(z1=z1, z2=z2)
    if levels.ndim != 2 or levels.shape[1] < 2 or len(levels) != len(first):
        raise ValueError(f"levels must have shape ({len(first)}, L) with L at least 2, got {tuple(levels.shape)}")
    columns = levels.shape[1]
    total, highest = first.new_zeros(()), first.new_full((), -torch.inf)
    for step in range(1, columns):
        _, group = torch.unique(levels[:, : columns - step], dim=0, return_inverse=True)
        z = torch.cat([first, second])
        found = supcon(z, group.repeat(2), temperature=temperature, base_temperature=base_temperature)
        weight = math.exp(1 / step) if layer_weight == "exp" else 2.0 ** (1 / step)
        if kind == "hmc":
            total = total + weight * found
        else:
            highest = torch.maximum(highest, found)
            total = total + (weight if kind == "hmce" else 1.0) * highest
        kept = _first_of_each(group)
        levels, first, second = levels[kept], first[kept], second[kept]
    return total / columns


def _first_of_each(group: Tensor) -> Tensor:
    """The first row of each group, in the order of the groups' numbers."""
    order = torch.argsort(group, stable=True)
    ordered = group[order]
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    return order[begins]


@full_precision
def masked_hmlc(
    z1: Tensor,
    z2: Tensor,
    levels: Tensor,
    masks: Sequence[tuple[Tensor, Tensor]],
    *,
    temperature: float = 0.1,
    balance: bool = False,
) -> Tensor:
    r"""Each level of a hierarchy contrasts in dimensions of its own (G-HMLC and A-HMLC, arXiv 2510.00837).

    .. math::
        L = \frac{1}{H} \sum_h \operatorname{SupCon}\big(\operatorname{normalise}(m_h \odot z), y_h\big)

    Masks multiply embeddings before they are normalised. No code is released; this is the form that the paper's
    abstract states.

    Args:
        z1, z2: (N, D), both views, not normalised.
        levels: (N, H) class numbers.
        masks: for every level the masks of both views, each broadcast against (N, D).
        temperature: above 0.
        balance: weigh every anchor by the inverse frequency of its class at the level.
    """
    first, second = embeddings(z1=z1, z2=z2)
    if len(masks) != levels.shape[1]:
        raise ValueError(f"masks must be {levels.shape[1]}, one pair for each level, got {len(masks)}")
    terms = []
    for (mask1, mask2), y in zip(masks, levels.unbind(1), strict=True):
        rows = F.normalize(torch.cat([first * mask1, second * mask2]), dim=1)
        weights = None
        if balance:
            _, group, counts = torch.unique(y, return_inverse=True, return_counts=True)
            weights = (len(y) / (len(counts) * counts[group])).to(rows).repeat(2)
        terms.append(supcon(rows, y.repeat(2), temperature=temperature, anchor_weights=weights))
    return torch.stack(terms).mean()
