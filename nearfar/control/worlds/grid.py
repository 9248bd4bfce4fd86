"""Grids of cells whose transitions are a table, so that what methods estimate can be solved exactly."""

from __future__ import annotations

import numpy as np

from nearfar.control.spaces import Spaces, one_hot
from nearfar.control.worlds.mazes import distances, walls
from nearfar.control.worlds.world import World

MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])


class Grid(World):
    """A maze of cells with four moves (up, down, left, right) and, where asked for, a fifth that stays.

    With probability ``slip`` a move drawn uniformly takes the place of the chosen one. A move into a wall stays. The
    reward is 1 in the goal's cell. An observation is the cell as a one-hot row, or, with ``size``, a picture in which
    each cell is a square.

    Attributes:
        table: (S, A, S) the probability of each next cell.

    Args:
        maze: a map of :mod:`nearfar.control.worlds.mazes`.
        count: how many environments.
        slip: probability that a random move is made, in [0, 1].
        stay: whether there is a fifth move that stays.
        limit: steps in an episode.
        size: side of the picture in pixels; 0 for one-hot rows.
        noise: standard deviation of grey noise on every picture, a distractor that no action changes.
    """

    parts = ("cell", "goal")

    def __init__(
        self,
        maze: str = "rooms",
        count: int = 1,
        *,
        slip: float = 0.0,
        stay: bool = False,
        limit: int = 50,
        size: int = 0,
        noise: float = 0.0,
    ) -> None:
        super().__init__(count)
        if not 0 <= slip <= 1:
            raise ValueError(f"slip must be a probability, got {slip}")
        self.name = ("pixel-grid" if size else "grid") + ("" if maze == "rooms" else f"-{maze}")
        self.maze, self.limit, self.size, self.noise = maze, limit, size, noise
        self.cells = np.argwhere(~walls(maze))
        self.table = transitions(maze, slip=slip, stay=stay)
        self._bounds = self.table.cumsum(-1)
        states, actions, _ = self.table.shape
        self.spaces = Spaces((1, size, size) if size else (states,), actions, discrete=True, goal=states)
        self.cell = np.zeros(count, np.int64)
        self.goal = np.zeros(count, np.int64)
        self._chance = np.random.default_rng(0)

    def begin(self, which: np.ndarray, rng: np.random.Generator) -> None:
        self.cell[which] = rng.integers(len(self.cells), size=len(which))
        self.goal[which] = rng.integers(len(self.cells), size=len(which))

    def step(self, actions, rng):  # type: ignore[no-untyped-def]
        self._chance = rng
        return super().step(actions, rng)

    def move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        bounds = self._bounds[self.cell, actions]
        drawn = self._chance.random(self.count)[:, None]
        self.cell = np.minimum((bounds <= drawn).sum(1), len(self.cells) - 1)
        reached = self.cell == self.goal
        return reached.astype(np.float32), np.zeros(self.count, bool), reached

    def observe(self) -> np.ndarray:
        return self.drawn(self.cell, self.noise) if self.size else one_hot(self.cell, len(self.cells))

    @property
    def goals(self) -> np.ndarray:
        return self.drawn(self.goal) if self.size else one_hot(self.goal, len(self.cells))

    def drawn(self, cells: np.ndarray, noise: float = 0.0) -> np.ndarray:
        """Pictures (N, 1, size, size) of an agent in ``cells``."""
        solid = walls(self.maze)
        at = [((np.arange(self.size) + 0.5) / self.size * n).astype(int) for n in solid.shape]
        ground = np.where(solid[np.ix_(*at)], 60.0, 120.0)
        rows, columns = self.cells[cells].T
        mine = (at[0][None, :, None] == rows[:, None, None]) & (at[1][None, None, :] == columns[:, None, None])
        frames = np.where(mine, 250.0, ground[None])
        if noise:
            frames = frames + self._chance.normal(0, noise, frames.shape)
        return np.clip(frames, 0, 255).astype(np.uint8)[:, None]

    def scripted(self, rng: np.random.Generator) -> np.ndarray:
        """A move along a shortest way, and one in five at random."""
        ahead = distances(self.maze)[:, self.goal].T[:, None] @ self.table[self.cell].swapaxes(1, 2)
        best = (ahead[:, 0] + 1e-6 * rng.random(ahead[:, 0].shape)).argmin(1)
        chance = rng.random(self.count) < 0.2
        return np.where(chance, rng.integers(self.spaces.actions, size=self.count), best)

    def picture(self, index: int = 0, cell: int = 16) -> np.ndarray:
        solid = walls(self.maze)
        canvas = np.where(solid[..., None], np.uint8(70), np.uint8(245)).repeat(3, 2).astype(np.uint8)
        canvas[tuple(self.cells[self.goal[index]])] = (40, 160, 60)
        canvas[tuple(self.cells[self.cell[index]])] = (210, 60, 40)
        return canvas.repeat(cell, 0).repeat(cell, 1)


def transitions(maze: str, *, slip: float = 0.0, stay: bool = False) -> np.ndarray:
    """The table (S, A, S) of a maze: probabilities of the next cell after each move."""
    solid = walls(maze)
    cells = np.argwhere(~solid)
    number = np.full(solid.shape, -1)
    number[tuple(cells.T)] = np.arange(len(cells))
    moves = np.concatenate([MOVES, [[0, 0]]]) if stay else MOVES
    found = np.zeros((len(cells), len(moves), len(cells)))
    for action, move in enumerate(moves):
        onto = cells + move
        inside = ((onto >= 0) & (onto < solid.shape)).all(1)
        onto = np.where(inside[:, None], onto, cells)
        after = number[tuple(onto.T)]
        after = np.where(after < 0, np.arange(len(cells)), after)
        found[np.arange(len(cells)), action, after] = 1
    return (1 - slip) * found + slip * found.mean(1, keepdims=True)
