"""Pairs with a gold similarity: its value, or its order."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, number, paired, unit_rows


@full_precision
def cosine_regression(u: Tensor, v: Tensor, gold: Tensor) -> Tensor:
    r"""``mean_i (cos(u_i, v_i) - y_i)^2`` (Reimers and Gurevych 2019, arXiv 1908.10084, section 3).

    sentence-transformers' ``CosineSimilarityLoss``. It fits the values; where only the order of the judgements is to
    be trusted, :func:`cosent` asks for less.

    Args:
        u: (N, D), one sentence of each pair.
        v: (N, D), the other.
        gold: (N,), what the cosine should be: judgements scaled to [0, 1], or to [-1, 1].

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: embeddings that are not floating, or gold similarities that are no numbers.
        ValueError: shapes or devices that do not fit.
    """
    u, v = paired(u=u, v=v)
    return (_cosines(u, v) - judged("gold", gold, u)).square().mean()


@full_precision
def cosent(u: Tensor, v: Tensor, gold: Tensor, *, scale: float = 20.0) -> Tensor:
    r"""CoSENT: of two pairs, the one judged less alike has the lower cosine.

    .. math::
        L = \log \Big( 1 + \sum_{i, j :\, y_i < y_j} e^{s (\cos_i - \cos_j)} \Big),
            \qquad \cos_i = \cos(u_i, v_i)

    as in sentence-transformers' ``CoSENTLoss``. Only the order of ``gold`` enters, so its unit does not matter. Two
    pairs of equal gold similarity ask nothing of each other; where all are equal the loss is 0. It holds an (N, N)
    matrix of numbers.

    Args:
        u: (N, D), one sentence of each pair.
        v: (N, D), the other.
        gold: (N,), higher for pairs that are more alike.
        scale: multiplies the differences of cosines, above 0.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: embeddings that are not floating, or gold similarities that are no numbers.
        ValueError: shapes, devices or a scale that do not fit.
    """
    u, v = paired(u=u, v=v)
    y = judged("gold", gold, u)
    cosines = number("scale", scale, above=0.0) * _cosines(u, v)
    wrong = (cosines.unsqueeze(1) - cosines).masked_fill(y.unsqueeze(1) >= y, -torch.inf).flatten()
    return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), 0)


def judged(name: str, values: Tensor, like: Tensor) -> Tensor:
    """One number for each pair, in the embeddings' dtype."""
    if not isinstance(values, Tensor) or values.is_complex():
        got = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} must be a tensor of numbers, got {got}")
    if values.shape != like.shape[:1] or values.device != like.device:
        raise ValueError(
            f"{name} must have shape ({len(like)},) on {like.device}, a number for each pair, "
            f"got {tuple(values.shape)} on {values.device}"
        )
    return values.to(like.dtype)


def _cosines(u: Tensor, v: Tensor) -> Tensor:
    return (unit_rows(u) * unit_rows(v)).sum(1)
