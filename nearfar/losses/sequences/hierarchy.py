"""Contrast along time and across series at every scale: TS2Vec."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nearfar.losses._checks import full_precision, number, tracks
from nearfar.losses.sequences._pairs import few_pairs, many_pairs

# Numbers that one chunk of time steps may take, similarities or copies.
CHUNK = 1 << 18


@full_precision
def temporal_contrast(z1: Tensor, z2: Tensor) -> Tensor:
    r"""Each time step of a series finds itself in the other view among all steps of both views of that series.

    .. math:: \ell_{bt} = -\log \frac{e^{z_{bt} \cdot z'_{bt}}}
        {\sum_{t'} e^{z_{bt} \cdot z'_{bt'}} + \sum_{t' \ne t} e^{z_{bt} \cdot z_{bt'}}},

    averaged over series, steps and both directions: TS2Vec (arXiv 2106.10466, equation 1; zhihanyue/ts2vec,
    ``models/losses.py``). Plain dot products: nothing is normalised and there is no temperature.

    Args:
        z1, z2: (B, T, D), the steps of two views that overlap in full.

    Returns:
        A scalar, at least 0; 0 where T is 1.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or devices that do not fit.
    """
    z1, z2 = tracks(z1=z1, z2=z2)
    return _Hierarchy.apply(z1, z2, _Shares(0.0, 1.0, 0, False, False))


@full_precision
def instance_contrast(z1: Tensor, z2: Tensor) -> Tensor:
    r"""Each series finds itself in the other view among all series of the batch at the same time step.

    As :func:`temporal_contrast` with the roles of series and steps exchanged (equation 2).

    Args:
        z1, z2: (B, T, D), the steps of two views that overlap in full.

    Returns:
        A scalar, at least 0; 0 where B is 1.
    """
    z1, z2 = tracks(z1=z1, z2=z2)
    return _Hierarchy.apply(z1, z2, _Shares(1.0, 0.0, 0, False, False))


@full_precision
def hierarchical_contrast(
    z1: Tensor,
    z2: Tensor,
    *,
    alpha: float = 0.5,
    temporal_unit: int = 0,
    last: bool = True,
) -> Tensor:
    r"""TS2Vec's loss: both contrasts at every scale, max-pooling time by two until one step is left.

    .. math:: \frac{1}{L} \sum_{l < L} \big[ \alpha\, \ell_{inst}(z^{(l)}) + (1 - \alpha)\, \ell_{temp}(z^{(l)}) \big],
        \qquad z^{(l+1)}_t = \max(z^{(l)}_{2t}, z^{(l)}_{2t+1}),

    with a last odd step dropped by the pooling, as released. The scale of a single step has the instance part alone.

    Value and gradient come from one pass: of the symmetric matrix of a series half is made, with one exponential an
    entry, and what is needed beside the gradient is that half of one series, or one strip of it where a series is
    longer than 1,700 steps. The released form holds all matrices of a scale; see :mod:`._pairs` for how.

    Args:
        z1, z2: (B, T, D), the steps of two views that overlap in full.
        alpha: share of the contrast across series, in [0, 1].
        temporal_unit: scales below this number have no contrast along time, at least 0.
        last: whether the scale of a single step counts. COMET's levels leave it out.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes or devices that do not fit, ``alpha`` or ``temporal_unit`` out of range.
    """
    z1, z2 = tracks(z1=z1, z2=z2)
    if not 0 <= number("alpha", alpha) <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    unit = int(number("temporal_unit", temporal_unit, at_least=0))
    return _Hierarchy.apply(z1, z2, _Shares(alpha, 1 - alpha, unit, True, last))


class _Shares(NamedTuple):
    """Weights of the two contrasts, the first scale with a temporal one, whether to pool, whether to the last step."""

    instance: float
    temporal: float
    unit: int
    pool: bool
    last: bool


class _Hierarchy(torch.autograd.Function):
    """The loss; its gradient is made in the forward pass, where the matrices are."""

    @staticmethod
    def forward(ctx: Any, z1: Tensor, z2: Tensor, shares: _Shares) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        levels = 1
        if shares.pool:
            levels = int(z1.shape[1]).bit_length()
            levels = max(levels if shares.last else levels - 1, 1)
        value, grads = _levels(z1, z2, shares, 0, levels, wanted)
        if wanted:
            assert grads is not None
            ctx.save_for_backward(*grads)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        g1, g2 = ctx.saved_tensors
        return g1 * grad, g2 * grad, None


def _levels(
    z1: Tensor, z2: Tensor, shares: _Shares, depth: int, levels: int, wanted: bool
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """The sum over this scale and the coarser ones, divided by ``levels``, and its gradients.

    Coarser scales first: nothing of this one is held meanwhile but what pooling made of it.
    """
    grads = None
    value = z1.new_zeros(())
    if wanted:
        grads = torch.zeros_like(z1), torch.zeros_like(z2)
    if shares.pool and depth + 1 < levels:
        pooled = [torch.maximum(z[:, 0 : z.shape[1] - 1 : 2], z[:, 1::2]) for z in (z1, z2)]
        value, coarser = _levels(pooled[0], pooled[1], shares, depth + 1, levels, wanted)
        del pooled
        if grads is not None and coarser is not None:
            for z, own, above in zip((z1, z2), grads, coarser, strict=True):
                first, second = z[:, 0 : z.shape[1] - 1 : 2], z[:, 1::2]
                taken = first >= second  # on equal values the first, as torch's pooling does
                torch.mul(above, taken, out=own[:, 0 : z.shape[1] - 1 : 2])
                torch.mul(above, taken.logical_not_(), out=own[:, 1::2])
        del coarser
    batch, steps = z1.shape[:2]
    if shares.instance and batch > 1:
        value = value + _across_series(z1, z2, grads, shares.instance / (levels * 2 * batch * steps))
    if shares.temporal and steps > 1 and depth >= shares.unit:
        value = value + _along_time(z1, z2, grads, shares.temporal / (levels * 2 * batch * steps))
    return value, grads


def _along_time(z1: Tensor, z2: Tensor, grads: tuple[Tensor, Tensor] | None, weight: float) -> Tensor:
    """Contrast within each series, one after another; gradients are added to ``grads``."""
    steps = z1.shape[1]
    value = -2 * torch.einsum("btd,btd->", z1, z2)
    for row in range(len(z1)):
        found, grad = many_pairs(torch.cat((z1[row], z2[row])), grads is not None)
        value = value + found
        if grads is not None and grad is not None:
            grads[0][row].add_(grad[:steps].sub_(z2[row], alpha=2), alpha=weight)
            grads[1][row].add_(grad[steps:].sub_(z1[row], alpha=2), alpha=weight)
    return value * weight


def _across_series(z1: Tensor, z2: Tensor, grads: tuple[Tensor, Tensor] | None, weight: float) -> Tensor:
    """Contrast at each time step, chunks of them at once; gradients are added to ``grads``."""
    batch, steps = z1.shape[:2]
    size = max(CHUNK // (4 * batch * max(batch, z1.shape[2] // 2)), 1)
    value = -2 * torch.einsum("btd,btd->", z1, z2)
    for first in range(0, steps, size):
        part = slice(first, first + size)
        a, b = z1[:, part], z2[:, part]
        found, grad = few_pairs(torch.cat((a, b)).transpose(0, 1).contiguous(), grads is not None)
        value = value + found
        if grads is not None and grad is not None:
            grad = grad.transpose(0, 1)
            grads[0][:, part].add_(grad[:batch], alpha=weight).sub_(b, alpha=2 * weight)
            grads[1][:, part].add_(grad[batch:], alpha=weight).sub_(a, alpha=2 * weight)
    return value * weight
