"""Contrast of the places of one picture with the same places of another version of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, tracks, unit_rows


@full_precision
def patch_nce(queries: Tensor, keys: Tensor, *, temperature: float | Tensor = 0.07, own: float | None = None) -> Tensor:
    r"""PatchNCE (arXiv 2007.15651): each place must find itself in the other version among the picture's places.

    .. math::
        L = \operatorname{mean}_{b, i} -\log \frac{e^{q_{bi} \cdot k_{bi} / \tau}}
            {e^{q_{bi} \cdot k_{bi} / \tau} + \sum_{j \ne i} e^{q_{bi} \cdot k_{bj} / \tau}}

    rows L2-normalised, the keys held constant. Negatives are the other places of the same picture.

    Args:
        queries: (B, S, C).
        keys: (B, S, C).
        temperature: divides the cosines, above 0.
        own: the released codes write the positive once more among the negatives, with this cosine instead of its own:
            ``None`` leaves it out (CCPL), -10 is ZeCon's and CUT's, which comes to the same.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: rows that are not floating.
        ValueError: shapes, devices or a temperature that do not fit.
    """
    queries, keys = tracks(queries=queries, keys=keys)
    scale = inverse_temperature(temperature, queries)
    logits = torch.bmm(unit_rows(queries), unit_rows(keys.detach()).mT)
    right = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    if own is not None:
        again = torch.full_like(logits[..., :1], own)
        logits = torch.cat([logits, again], 2)
    return F.cross_entropy((logits * scale).flatten(0, 1), right.flatten())
