"""Contrast among whole tuples of modalities (Symile)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, paired, unit_rows, whole_numbers
from nearfar.losses.contrast.infonce import info_nce
from nearfar.losses.engine.logsumexp import cross_logsumexp
from nearfar.losses.engine.tiles import LN2, LOG2E, exponents_are_bounded


@full_precision
def symile(
    representations: Sequence[Tensor],
    *,
    temperature: float | Tensor,
    orders: Tensor | None = None,
    normalize: bool = True,
) -> Tensor:
    r"""Symile: a tuple of M modalities is told from tuples that were put together at random (arXiv 2411.01053).

    A tuple scores by its multilinear inner product, the sum over dimensions of the product of its M rows. Of anchor a,

    .. math::
        \ell_{ai} = -\log \frac{e^{\langle x_{1i}, \ldots, x_{Mi} \rangle / \tau}}
            {e^{\langle x_{1i}, \ldots, x_{Mi} \rangle / \tau}
            + \sum_{j \ne i} e^{\langle x_{ai}, y_{aj} \rangle / \tau}},
        \qquad y_{aj} = \prod_{m \ne a} x_{m, \pi_{am}(j)},

    averaged over rows and anchors (released code, ``symile/loss.py``). ``orders`` are the permutations
    :math:`\pi_{am}`: a fresh one for every anchor and every other modality, so that the parts of a negative do not
    belong together either. A permutation may leave a row where it was; the positive is aligned whatever it does.
    Without ``orders`` the negatives are all combinations of rows of the other modalities, :math:`N^{M-1} - 1` of them,
    which are held in memory; with two modalities that is :func:`info_nce` in both directions.

    Products of M unit vectors are small (of random ones about 0.06 for three of width 16, and :math:`6 \cdot 10^{-5}`
    for eight), so the temperature has to be learned and must not be kept above 0.01 as CLIP's is. Where pairs of
    modalities say all there is to say, take :func:`symmetric_info_nce` of every pair.

    Args:
        representations: M at least 2 times (N, D), row i of each a part of the same tuple.
        temperature: a positive float or a 0-d tensor.
        orders: (M, M - 1, N) integers: for anchor a and each other modality in order, a permutation of the rows.
        normalize: L2-normalise every row first.

    Returns:
        A scalar, at least 0; 0 for one tuple.

    Raises:
        TypeError: a dtype that is not floating, or orders that are no integers.
        ValueError: fewer than two modalities, or shapes, devices or a temperature that do not fit.
    """
    count = len(representations)
    if count < 2:
        raise ValueError(f"symile compares modalities with each other and needs at least 2, got {count}")
    lifted = paired(**{f"representations[{m}]": x for m, x in enumerate(representations)})
    n = len(lifted[0])
    if orders is not None:
        orders = whole_numbers("orders", orders, (count, count - 1, n), at_least=0).to(lifted[0].device)
        if orders.device.type == "cpu" and int(orders.max()) >= n:
            raise ValueError(f"orders must lie in [0, {n}), the rows of a modality, got {int(orders.max())}")
    rows = [unit_rows(x) for x in lifted] if normalize else lifted
    scale = inverse_temperature(temperature, rows[0])
    bounded = exponents_are_bounded(scale, normalize)
    losses = []
    for anchor, own in enumerate(rows):
        others = [*rows[:anchor], *rows[anchor + 1 :]]
        if orders is None:
            bank = _combinations(others)
            aligned = torch.arange(n, device=own.device) * sum(n**power for power in range(len(others)))
            losses.append(info_nce(own, bank, temperature=temperature, target=aligned, normalize=False))
            continue
        queries = own * (scale * LOG2E)
        positive = (queries * _product(others)).sum(1) * LN2
        shuffled = _product([x[order] for x, order in zip(others, orders[anchor], strict=True)])
        negatives, _ = cross_logsumexp(queries, shuffled, skip_diagonal=True, columns=False, bounded=bounded)
        losses.append(-F.logsigmoid(positive - negatives).mean())
    return torch.stack(losses).mean()


def _product(rows: Sequence[Tensor]) -> Tensor:
    """The product over modalities, (N, D)."""
    found = rows[0]
    for x in rows[1:]:
        found = found * x
    return found


def _combinations(rows: Sequence[Tensor]) -> Tensor:
    """The product of every combination of rows (N ** M, D), the first modality's row counting most."""
    found = rows[0]
    for x in rows[1:]:
        found = (found.unsqueeze(1) * x).flatten(0, 1)
    return found
