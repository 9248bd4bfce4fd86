"""Scores of all pairs, of one critic or of several."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating


def scores(**named: Tensor) -> list[Tensor]:
    """Matrices (B, M) or, of n critics, (B, M, n), each given its last axis; half precision lifted.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: another shape, or nothing in it.
    """
    found = []
    for name, tensor in zip(named, floating(**named), strict=True):
        if tensor.ndim not in (2, 3) or tensor.numel() == 0:
            raise ValueError(f"{name} must be scores (B, M) or, of n critics, (B, M, n), got {tuple(tensor.shape)}")
        found.append(tensor if tensor.ndim == 3 else tensor.unsqueeze(-1))
    return found


def square(**named: Tensor) -> list[Tensor]:
    """Like :func:`scores`, row i belonging to column i."""
    found = scores(**named)
    first = found[0].shape
    for name, tensor in zip(named, found, strict=True):
        if tensor.shape[0] != tensor.shape[1] or tensor.shape != first:
            raise ValueError(
                f"{name} must be square, row i belonging to column i, and as large as the others: got "
                f"{tuple(named[name].shape)}"
            )
    return found


def own(found: Tensor, column: int = 0) -> Tensor:
    """(B, n) the score of each row i with column i + ``column``, modulo B."""
    rows = torch.arange(len(found), device=found.device)
    return found[rows, (rows + column) % len(found)]
