"""Contrast of things with several candidates each (MIL-NCE)."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, inverse_temperature, unit_rows


@full_precision
def mil_nce(
    a: Tensor,
    b: Tensor,
    *,
    temperature: float | Tensor,
    valid_a: Tensor | None = None,
    valid_b: Tensor | None = None,
) -> Tensor:
    r"""MIL-NCE: all candidates of a row are positives together (Miech et al., 2020, arXiv 1912.06430).

    .. math::
        \ell_i = \operatorname{lse}_{k, j, l} \frac{a_{ik} \cdot b_{jl}}{\tau}
            + \operatorname{lse}_{l, j, k} \frac{b_{il} \cdot a_{jk}}{\tau}
            - 2 \operatorname{lse}_{k, l} \frac{a_{ik} \cdot b_{il}}{\tau},

    averaged over rows, L2-normalised, as the released code of VATT has it (``vatt/utils/train/objectives.py``): one of
    a row's pairs has to be near, so that captions of which some do not fit cost nothing. With one candidate each it is
    twice :func:`symmetric_info_nce`. Rows that are not valid are nobody's negatives and have no loss; with n_a valid
    rows of N the others count N / n_a times, and where both sides have some missing the two factors are multiplied, as
    released. The matrix is held whole.

    Args:
        a: (N, K, D), K candidates of each row.
        b: (N, L, D), row i belonging to row i of ``a``.
        temperature: divides the cosines; a positive float or a 0-d tensor. 0.07 in VATT.
        valid_a, valid_b: (N,) bool, whether the row is there; all are when not given.

    Returns:
        A scalar, at least 0; 0 where no row is valid.

    Raises:
        TypeError: a dtype that is not floating, or rows not marked by booleans.
        ValueError: shapes or a temperature that do not fit.
    """
    a, b = floating(a=a, b=b)
    if a.ndim != 3 or b.ndim != 3 or len(a) != len(b) or a.shape[2] != b.shape[2] or not a.numel() or not b.numel():
        raise ValueError(f"a must be (N, K, D) and b (N, L, D), got {tuple(a.shape)} and {tuple(b.shape)}")
    n = len(a)
    logits = torch.einsum("ikd,jld->ikjl", unit_rows(a, inverse_temperature(temperature, a)), unit_rows(b))
    positive = logits.diagonal(0, 0, 2).flatten(0, 1).logsumexp(0)
    weight = torch.ones_like(positive)
    for name, valid, shape in (("valid_a", valid_a, (n, 1, 1, 1)), ("valid_b", valid_b, (1, 1, n, 1))):
        if valid is not None:
            there = boolean(name, valid, (n,), a, "rows")
            logits = logits.masked_fill(~valid.view(shape), torch.finfo(logits.dtype).min)
            weight = weight * there * n / there.sum().clamp_min(1)
    forth = logits.flatten(1).logsumexp(1)
    back = logits.permute(2, 0, 1, 3).flatten(1).logsumexp(1)
    losses = forth + back - 2 * positive
    return torch.where(weight > 0, losses * weight, 0.0).mean()
