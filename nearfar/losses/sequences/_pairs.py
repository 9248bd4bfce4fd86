r"""Each of 2N vectors has to find its partner among the others, by plain dot products; value and gradient at once.

With :math:`S = Z Z^\top`, row r and its partner :math:`p(r)`, the sum over rows is

.. math:: \sum_r \Big[ \log \sum_{c \ne r} e^{S_{rc}} - S_{r p(r)} \Big], \qquad
    \frac{\partial}{\partial z_r} = \sum_c (P_{rc} + P_{cr}) z_c - 2 z_{p(r)},

with P the softmax of the rows. S is symmetric, so its upper half is made once, in strips of rows, and serves rows and
columns. With m the maxima of the rows, :math:`E_{rc} = e^{S_{rc} - (m_r + m_c) / 2}` is at most 1 and, with
:math:`w = e^{m / 2}` and :math:`u = E w`,

.. math:: P_{rc} + P_{cr} = E_{rc} \Big( \frac{w_c}{u_r} + \frac{w_r}{u_c} \Big):

one exponential an entry for both softmaxes. It holds while the maxima differ by less than :data:`SPREAD`; beyond, and
where the strips would take more than :data:`KEPT` entries, the strips are made twice and take two exponentials, which
is exact for any range and needs the memory of one strip.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Entries of a strip: rows times columns, small enough for the cache and large enough for the matrix product.
STRIP = 1 << 19
# Entries of the upper half that are kept between its two passes: 96 MB in float32, series of up to 3,400 steps.
KEPT = 24 << 20
# Row maxima that differ by less leave e^(spread / 2) and its inverse far inside the range of float32.
SPREAD = 120.0


def strips(rows: int) -> list[slice]:
    """Rows of the upper half of a (rows, rows) matrix, in strips of about :data:`STRIP` entries."""
    found, first = [], 0
    while first < rows:
        size = min(max(STRIP // (rows - first), 32), rows - first)
        found.append(slice(first, first + size))
        first += size
    return found


def _strip(z: Tensor, part: slice) -> Tensor:
    """Rows ``part`` of S from the diagonal on, the diagonal at minus infinity."""
    s = z[part] @ z[part.start :].T
    s.diagonal().fill_(-torch.inf)
    return s


def many_pairs(z: Tensor, gradient: bool) -> tuple[Tensor, Tensor | None]:
    """The sum over rows of their log-sum, and its gradient, for one group of many vectors.

    Args:
        z: (M, D) with M at least 2.
        gradient: whether to make it.

    Returns:
        A 0-d tensor, and (M, D) or ``None``.
    """
    rows = len(z)
    if rows * (rows + 1) // 2 > KEPT:
        return _twice(z, gradient)
    parts = strips(rows)
    kept = [_strip(z, part) for part in parts]
    largest = z.new_full((rows,), -torch.inf)
    for part, s in zip(parts, kept, strict=True):
        size = part.stop - part.start
        torch.maximum(largest[part], s.amax(1), out=largest[part])
        if part.stop < rows:
            torch.maximum(largest[part.stop :], s[:, size:].amax(0), out=largest[part.stop :])
    low, high = largest.min(), largest.max()
    if not bool(high - low < SPREAD):
        del kept
        return _twice(z, gradient)
    weight = ((largest - (low + high) / 2) / 2).exp()
    sums = torch.zeros_like(largest)
    half = largest / 2
    for part, s in zip(parts, kept, strict=True):
        size = part.stop - part.start
        s.sub_(half[part, None]).sub_(half[None, part.start :]).exp_()
        sums[part] += s @ weight[part.start :]
        if part.stop < rows:
            sums[part.stop :] += weight[part] @ s[:, size:]
    value = (largest + (sums / weight).log()).sum()
    if not gradient:
        return value, None
    grad = torch.zeros_like(z)
    inverse = sums.reciprocal()
    for part, s in zip(parts, kept, strict=True):
        both = torch.outer(inverse[part], weight[part.start :])
        both.addcmul_(weight[part, None], inverse[None, part.start :])
        _spread(grad, z, s.mul_(both), part)
    return value, grad


def _twice(z: Tensor, gradient: bool) -> tuple[Tensor, Tensor | None]:
    """The same in the memory of one strip, for any range of products."""
    rows = len(z)
    parts = strips(rows)
    total = z.new_full((rows,), -torch.inf)
    for part in parts:
        s = _strip(z, part)
        total[part] = torch.logaddexp(total[part], s.logsumexp(1))
        if part.stop < rows:
            below = s[:, part.stop - part.start :].logsumexp(0)
            total[part.stop :] = torch.logaddexp(total[part.stop :], below)
    if not gradient:
        return total.sum(), None
    grad = torch.zeros_like(z)
    for part in parts:
        s = _strip(z, part)
        both = (s - total[part, None]).exp_()
        _spread(grad, z, both.add_(s.sub_(total[None, part.start :]).exp_()), part)
    return total.sum(), grad


def _spread(grad: Tensor, z: Tensor, both: Tensor, part: slice) -> None:
    """Add a strip of P + P^T times the vectors to the gradients of its rows and, transposed, to those below."""
    size = part.stop - part.start
    grad[part].addmm_(both, z[part.start :])
    if part.stop < len(z):
        grad[part.stop :].addmm_(both[:, size:].T, z[part])


def few_pairs(z: Tensor, gradient: bool) -> tuple[Tensor, Tensor | None]:
    """The same for groups of few vectors, all groups at once.

    Args:
        z: (G, M, D) with M at least 2.
    """
    s = z @ z.transpose(1, 2)
    s.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    total = s.logsumexp(2)
    if not gradient:
        return total.sum(), None
    p = s.sub_(total[:, :, None]).exp_()
    return total.sum(), (p + p.transpose(1, 2)) @ z
