"""LightGCL's contrast: a node of one view among all nodes of the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, inverse_temperature, number
from nearfar.losses.engine.logsumexp import cross_logsumexp
from nearfar.losses.engine.tiles import LOG2E

FLOOR = 1e-8


@full_precision
def full_contrast(
    anchors: Tensor, everything: Tensor, index: Tensor, *, temperature: float | Tensor, clamp: float = 5.0
) -> Tensor:
    r"""Each row of a batch finds itself in the other view among *all* rows (LightGCL, arXiv 2302.08191, equation 9).

    .. math::
        \frac{1}{B} \sum_{b} \Big[ \log\Big(\sum_j e^{g_b \cdot e_j / \tau} + 10^{-8}\Big)
            - \operatorname{clip}(g_b \cdot e_b / \tau, -c, c) \Big]

    as in the released code: rows are **not** normalised, the positive is in the sum, and only the positive is clipped,
    which takes its gradient where it lies outside. The released code adds up exponentials and can overflow; this is a
    log-sum-exp in tiles: memory grows with the number of nodes, not with its product with the batch. Rows that the
    batch names several times count so often and are computed once.

    Args:
        anchors: (N, D), the view that asks; LightGCL's is the propagation over the low-rank graph.
        everything: (N, D), the view that is searched, row i the same node.
        index: (B,) rows of the batch, repetitions allowed.
        temperature: divides the products; a positive float or a 0-d tensor.
        clamp: c, above 0.

    Returns:
        A scalar.

    Raises:
        TypeError: a dtype that is not floating, an index that is not of whole numbers.
        ValueError: shapes, a temperature or an index that do not fit.
    """
    anchors, everything = embeddings(anchors=anchors, everything=everything)
    if len(anchors) != len(everything):
        raise ValueError(f"anchors has {len(anchors)} rows and everything {len(everything)}; row i is node i in both")
    if not isinstance(index, Tensor) or index.dtype not in (torch.int64, torch.int32):
        raise TypeError("index must be a tensor of whole numbers, the rows of the batch")
    if index.ndim != 1 or not len(index):
        raise ValueError(f"index must name at least one row, as (B,), got shape {tuple(index.shape)}")
    number("clamp", clamp, above=0.0)
    rows, counts = torch.unique(index, return_counts=True)
    if rows[0] < 0 or rows[-1] >= len(anchors):
        raise ValueError(f"index names rows {int(rows[0])} to {int(rows[-1])} of {len(anchors)}")
    scale = inverse_temperature(temperature, anchors)
    chosen = anchors[rows] * scale
    positive = (chosen * everything[rows]).sum(1).clamp(-clamp, clamp)
    lse, _ = cross_logsumexp(chosen * LOG2E, everything, skip_diagonal=False, columns=False, bounded=False)
    above = torch.logaddexp(lse, lse.new_tensor(math.log(FLOOR)))
    return ((above - positive) * counts).sum() / len(index)
