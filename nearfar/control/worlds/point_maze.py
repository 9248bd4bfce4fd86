"""A point that is pushed through a maze: fast, continuous, exact to save."""

from __future__ import annotations

import numpy as np

from nearfar.control.spaces import Spaces
from nearfar.control.worlds.mazes import next_cells, walls
from nearfar.control.worlds.world import World

SUBSTEPS = 10


class PointMaze(World):
    """A point in a maze with walls, set a goal in each episode.

    An action is a velocity in [-1, 1]^2 for one unit of time, moved in ten sub-steps of which each moves along one axis
    after the other and not at all into a wall (the two-dimensional worlds of Eysenbach et al., 2022, arXiv 2206.07568).
    A cell has side 1. An observation is the place, scaled so that the maze is [-1, 1]^2; goals are places. The reward
    is 1 while the point is within ``radius`` cells of its goal and 0 elsewhere, and an episode lasts ``limit`` steps.

    Args:
        maze: a map of :mod:`nearfar.control.worlds.mazes`.
        count: how many environments.
        limit: steps in an episode.
        radius: of a goal, in cells.
        noise: standard deviation of the scripted policy's noise, which otherwise goes the shortest way.
    """

    parts = ("place", "goal")

    def __init__(
        self, maze: str = "rooms", count: int = 1, *, limit: int = 50, radius: float = 0.6, noise: float = 0.5
    ) -> None:
        super().__init__(count)
        self.name = f"point-maze-{maze}" if maze != "rooms" else "point-maze"
        self.maze, self.limit, self.radius, self.noise = maze, limit, radius, noise
        self.spaces = Spaces((2,), 2, goal=2)
        solid = walls(maze)
        self.size = np.array(solid.shape, np.float32)
        # A border of walls, so that a place outside of the map needs no check of its own.
        padded = np.pad(solid, 1, constant_values=True)
        self._free, self._width = ~padded.ravel(), padded.shape[1]
        self.cells = np.argwhere(~solid)
        self._cell_at = np.full(solid.shape, -1)
        self._cell_at[tuple(self.cells.T)] = np.arange(len(self.cells))
        self.place = np.zeros((2, count), np.float32)
        self.goal = np.zeros((2, count), np.float32)

    def begin(self, which: np.ndarray, rng: np.random.Generator) -> None:
        for part in (self.place, self.goal):
            cells = self.cells[rng.integers(len(self.cells), size=len(which))]
            part[:, which] = (cells + rng.random((len(which), 2))).T.astype(np.float32)

    def move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        x, y = self.place
        dx, dy = (actions.T / np.float32(SUBSTEPS)).astype(np.float32)
        row = (x + 1).astype(np.int32) * self._width
        column = (y + 1).astype(np.int32)
        for _ in range(SUBSTEPS):
            further = x + dx
            there = (further + 1).astype(np.int32) * self._width
            fine = self._free.take(there + column)
            np.copyto(x, further, where=fine)
            np.copyto(row, there, where=fine)
            further = y + dy
            there = (further + 1).astype(np.int32)
            fine = self._free.take(row + there)
            np.copyto(y, further, where=fine)
            np.copyto(column, there, where=fine)
        reached = np.square(self.place - self.goal).sum(0) <= self.radius**2
        return reached.astype(np.float32), np.zeros(self.count, bool), reached

    def observe(self) -> np.ndarray:
        return self._scaled(self.place)

    @property
    def goals(self) -> np.ndarray:
        return self._scaled(self.goal)

    def _scaled(self, places: np.ndarray) -> np.ndarray:
        return (places.T / self.size * 2 - 1).astype(np.float32)

    def unscaled(self, observations: np.ndarray) -> np.ndarray:
        """Places in cells of observations (N, 2)."""
        return (np.asarray(observations) + 1) / 2 * self.size

    def cell(self, places: np.ndarray) -> np.ndarray:
        """The number of the free cell in which places (N, 2), in cells, lie."""
        inside = np.clip(np.asarray(places), 0, self.size - 1e-3).astype(int)
        return self._cell_at[tuple(inside.T)]

    def scripted(self, rng: np.random.Generator) -> np.ndarray:
        """Towards the middle of the next cell on a shortest way to the goal, with noise."""
        now, wanted = self.cell(self.place.T), self.cell(self.goal.T)
        onto = self.cells[next_cells(self.maze)[now, wanted]] + 0.5
        onto = np.where((now == wanted)[:, None], self.goal.T, onto)
        return np.clip(onto - self.place.T + rng.normal(0, self.noise, (self.count, 2)), -1, 1).astype(np.float32)

    def picture(self, index: int = 0, cell: int = 16) -> np.ndarray:
        solid = walls(self.maze)
        canvas = np.where(solid[..., None], np.uint8(70), np.uint8(245)).repeat(3, 2).astype(np.uint8)
        canvas = canvas.repeat(cell, 0).repeat(cell, 1)
        for part, colour in ((self.goal, (40, 160, 60)), (self.place, (210, 60, 40))):
            middle = part[:, index] * cell
            near = np.hypot(*(np.indices(canvas.shape[:2]) + 0.5 - middle[:, None, None])) < cell * 0.35
            canvas[near] = colour
        return canvas


class CornerMaze(PointMaze):
    """A :class:`PointMaze` with one task for every episode: to be in a corner. Its goals are random places, which tell
    nothing of the task; the scripted policy walks to them, so that its episodes go everywhere.

    Args:
        both: whether the opposite corner does as well.
    """

    def __init__(self, maze: str = "open", count: int = 1, *, both: bool = False, **options: float) -> None:
        super().__init__(maze, count, **{"radius": 1.2, **options})  # type: ignore[arg-type]
        self.name = "point-maze-corners" if both else "point-maze-corner"
        ends = np.stack([np.full(2, 0.5), self.size - 0.5])
        self.corners = (ends if both else ends[:1]).astype(np.float32)

    def move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        super().move(actions)
        far = np.square(self.place.T[:, None] - self.corners[None]).sum(-1).min(1)
        reached = far <= self.radius**2
        return reached.astype(np.float32), np.zeros(self.count, bool), reached


class DrawnMaze(PointMaze):
    """A :class:`PointMaze` of which an agent sees a picture: the point over the walls. Goals are pictures too.

    Args:
        size: side of the picture in pixels, three channels.
    """

    def __init__(self, maze: str = "u", count: int = 1, *, size: int = 16, **options: float) -> None:
        super().__init__(maze, count, **options)  # type: ignore[arg-type]
        self.name = f"pixel-maze-{maze}" if maze != "u" else "pixel-maze"
        self.spaces = Spaces((3, size, size), 2, goal=2)
        at = ((np.arange(size) + 0.5) / size * self.size[:, None]).astype(np.float32)
        self._rows, self._columns = at
        ground = walls(maze)[np.ix_(self._rows.astype(int), self._columns.astype(int))]
        self._ground = np.where(ground, 60, 230).astype(np.uint8)
        self._spread = np.float32(2 * (float(self.size.max()) / size * 1.2) ** 2)

    def observe(self) -> np.ndarray:
        return self.drawn(self.place)

    @property
    def goals(self) -> np.ndarray:
        return self.drawn(self.goal)

    def drawn(self, places: np.ndarray) -> np.ndarray:
        """Pictures (N, 3, size, size) of the point at places (2, N)."""
        rows = np.exp(-np.square(self._rows[None] - places[0][:, None]) / self._spread)
        columns = np.exp(-np.square(self._columns[None] - places[1][:, None]) / self._spread)
        dot = rows[:, :, None] * columns[:, None, :]
        ground = self._ground[None].astype(np.float32)
        red = ground + dot * (230 - ground)
        other = ground * (1 - dot)
        return np.stack([red, other, other], 1).astype(np.uint8)
