"""Recordings of one patient or trial belong together: COMET."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, tracks, unit_rows, whole_numbers

__all__ = ["id_contrast"]


@full_precision
def id_contrast(z1: Tensor, z2: Tensor, ids: Tensor, *, temperature: float | Tensor = 0.1) -> Tensor:
    r"""Every pair of different series with one identity attracts, among all series of the batch.

    Each feature is L2-normalised over time and a series is flattened to F. With
    :math:`s_{ij} = \cos(F_i, F'_j) / \tau`, a pair i < j of equal identity must be found in its row,
    :math:`-s_{ij} + \log \sum_k e^{s_{ik}}`, and a pair i > j in its column,
    :math:`-s_{ij} + \log \sum_k e^{s_{kj}}`; the loss is the average of the two means, or the one that exists, or 0
    (COMET, arXiv 2310.14017, equations 5 and 6; DL4mHealth/COMET, ``models/losses.py``). A series is no positive of
    itself, and stays in the sums.

    Args:
        z1, z2: (B, T, D), two representations of the same series.
        ids: (B,) whole numbers; negative ones are unknown and belong to nobody.
        temperature: divides the cosines.

    Raises:
        TypeError: dtypes that do not fit.
        ValueError: shapes or a temperature that do not fit.
    """
    z1, z2 = tracks(z1=z1, z2=z2)
    ids = whole_numbers("ids", ids, (len(z1),)).to(z1.device)
    scale = inverse_temperature(temperature, z1)
    a, b = (unit_rows(unit_rows(z.transpose(1, 2)).flatten(1)) for z in (z1, z2))
    s = (a @ b.T) * scale
    same = (ids[:, None] == ids[None, :]) & (ids >= 0)[:, None]
    upper, lower = same.triu(1), same.tril(-1)
    terms = [
        (total - s)[mask].mean()
        for total, mask in ((s.logsumexp(1, True), upper), (s.logsumexp(0, True), lower))
        if mask.any()
    ]
    return torch.stack(terms).mean() if terms else (z1.sum() + z2.sum()) * 0.0
