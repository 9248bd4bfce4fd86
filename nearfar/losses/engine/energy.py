"""The energy of a matrix of correlations between dimensions, off its diagonal (Barlow Twins, VICReg)."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses.engine.sharing import shared, sum_over_ranks


def off_diagonal_energy(x: Tensor, y: Tensor, diagonal: Tensor) -> Tensor:
    """Sum of the squares of ``x^T y`` (D, D) off its diagonal, which is given; ``x`` and ``y`` are (N, D).

    For D of at least 2 N the D x D matrix is never made: its energy is ``sum((x x^T) * (y y^T))``. Its rank
    is at most N then, so the diagonal cannot carry all of the energy and the subtraction is safe.
    """
    n, d = x.shape
    side = n if d >= 2 * n else d
    ranks = shared("energy", x, y, entries=side * side)
    part = ranks.span(side) if ranks else slice(0, side)
    if d >= 2 * n:
        own = x[part] @ x.t()
        other = own if y is x else y[part] @ y.t()
        energy = (own * other).sum()
        return (sum_over_ranks(energy, ranks) if ranks else energy) - diagonal.square().sum()
    cross = x[:, part].t() @ y
    off_diagonal = cross.diagonal_scatter(cross.new_zeros(len(cross)), part.start)
    energy = off_diagonal.square().sum()
    return sum_over_ranks(energy, ranks) if ranks else energy
