"""Where the cells of a random crop lie in the picture it was cut from."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.vision.views import Draws

Grid = tuple[int, int]


def crop_corners(draws: Draws, height: int | Tensor, width: int | Tensor) -> Tensor:
    """The crops' corners (N, 4) as (x1, y1, x2, y2) in the picture, 0 at its first pixel and 1 at its last.

    A mirrored crop has x1 and x2 exchanged, so that x1 is where the *view's* left edge lies (PixPro,
    ``contrast/data/transform_coord.py``).
    """
    top, left, rows, columns = draws.boxes.float().unbind(1)
    last_column, last_row = (torch.as_tensor(side).sub(1).clamp(min=1) for side in (width, height))
    x = torch.stack([left / last_column, (left + columns - 1) / last_column], 1)
    y = torch.stack([top / last_row, (top + rows - 1) / last_row], 1)
    if draws.flip is not None:
        x = torch.where(draws.flip.unsqueeze(1), x.flip(1), x)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)


def cell_centres(corners: Tensor, grid: Grid) -> Tensor:
    """Centres (N, h * w, 2) of the cells of a view, as (x, y) in the picture's coordinates, rows of cells first."""
    rows, columns = grid
    x1, y1, x2, y2 = corners.unsqueeze(2).unbind(1)
    x = x1 + (x2 - x1) * (torch.arange(columns, device=corners.device) + 0.5) / columns
    y = y1 + (y2 - y1) * (torch.arange(rows, device=corners.device) + 0.5) / rows
    shape = (len(corners), rows, columns)
    return torch.stack([x.unsqueeze(1).expand(shape), y.unsqueeze(2).expand(shape)], 3).flatten(1, 2)


def cell_diagonals(corners: Tensor, grid: Grid) -> Tensor:
    """Diagonal (N,) of a cell in the picture's coordinates."""
    return torch.hypot((corners[:, 2] - corners[:, 0]) / grid[1], (corners[:, 3] - corners[:, 1]) / grid[0])


def close_cells(first: Tensor, second: Tensor, grid: Grid, ratio: float = 0.7) -> Tensor:
    """Which cells of two crops of one picture show the same place (PixPro, section 3.1).

    Those whose centres are closer than ``ratio`` times the longer of the two cells' diagonals.

    Args:
        first: corners (N, 4) of one crop, see :func:`crop_corners`.
        second: corners (N, 4) of the other.
        grid: rows and columns of cells, the same in both.
        ratio: the threshold, above 0.

    Returns:
        (N, S, S) boolean with S cells, cells of the first crop in rows.
    """
    if not ratio > 0:
        raise ValueError(f"ratio must be above 0, got {ratio}")
    longest = torch.maximum(cell_diagonals(first, grid), cell_diagonals(second, grid))
    return torch.cdist(cell_centres(first, grid), cell_centres(second, grid)) < ratio * longest.view(-1, 1, 1)
