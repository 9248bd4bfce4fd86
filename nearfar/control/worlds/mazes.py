"""Mazes as text, and the shortest ways through them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nearfar.spelling import one_of

# A hash is a wall; everything around the drawing is one as well.
DRAWINGS = {
    "rooms": """
        .....#.....
        .....#.....
        ...........
        .....#.....
        .....#.....
        #.####.....
        .....###.##
        .....#.....
        .....#.....
        ...........
        .....#.....
    """,
    "u": """
        .....
        .....
        ####.
        .....
        .....
    """,
    "spiral": """
        .......
        .#####.
        .#...#.
        .#.#.#.
        .#.###.
        .#.....
        .######
    """,
    "open": """
        .......
        .......
        .......
        .......
        .......
        .......
        .......
    """,
}
"""Maps by name."""


@lru_cache
def walls(name: str) -> np.ndarray:
    """A map (H, W) of booleans, true where a wall is.

    Raises:
        ValueError: there is no such map.
    """
    if name not in DRAWINGS:
        raise ValueError(f"there is no maze {name!r}{one_of(name, DRAWINGS)}")
    lines = DRAWINGS[name].split()
    return np.array([[cell == "#" for cell in line] for line in lines])


@lru_cache
def distances(name: str) -> np.ndarray:
    """Steps between all free cells (C, C) by the four moves, cells in the order of ``np.argwhere(~walls)``."""
    from scipy.sparse.csgraph import shortest_path

    return shortest_path(neighbours(name), unweighted=True)


@lru_cache
def neighbours(name: str) -> np.ndarray:
    """Whether free cells (C, C) lie side by side."""
    cells = np.argwhere(~walls(name))
    return np.abs(cells[:, None] - cells[None]).sum(-1) == 1


@lru_cache
def next_cells(name: str) -> np.ndarray:
    """The free cell to go to next, (C, C), from the first to reach the second by a shortest way."""
    far, beside = distances(name), neighbours(name)
    through = np.where(beside[:, :, None], far[None], np.inf)  # (from, by, to)
    best = through.argmin(1)
    np.fill_diagonal(best, np.arange(len(far)))
    return best
