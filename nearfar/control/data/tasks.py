"""Walks in a grid with a hidden goal, and what an ideal observer believes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.control.spaces import one_hot
from nearfar.sources.data import Data

SIDE = 5
MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [0, 0]])
GOALS = np.array([cell for cell in range(SIDE * SIDE) if cell not in (0, 1, SIDE, SIDE + 1)])
"""Where a goal may be: not at the start, nor beside it."""


class TaskBatch(NamedTuple):
    """What happened in several episodes of one unknown task each.

    Attributes:
        observations: (B, T, S) the state that each step led to.
        actions: (B, T, A).
        rewards: (B, T).
        rows: (B,) which trajectories they are.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    rows: Tensor


class TaskWalks(Data):
    """Random walks in a 5 by 5 grid; a reward of 1 on the hidden goal and of -0.1 elsewhere, 15 steps an episode, four
    episodes from the same corner for each goal (the grid of VariBAD and ContraBAR).

    Args:
        count: trajectories.
        seed: of goals and walks.
        held_out: other trajectories, for probes.

    Attributes:
        labels: (N,) the goal of each, as a place in :data:`GOALS`.
        posterior: (N, G) what an ideal observer believes in the end: all goals that were not visited without a reward.
    """

    gives = TaskBatch
    name = "hidden goals"

    def __init__(
        self,
        count: int = 2000,
        *,
        seed: int = 0,
        episodes: int = 4,
        steps: int = 15,
        held_out: TaskWalks | None = None,
    ) -> None:
        if count < 2:
            raise ValueError(f"trajectories are told from each other, so there must be at least 2, got {count}")
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(len(GOALS), size=count)
        total = episodes * steps
        self._actions = rng.integers(len(MOVES), size=(count, total))
        place = np.zeros((count, 2), np.int64)
        cells = np.empty((count, total), np.int64)
        for t in range(total):
            if t % steps == 0:
                place[:] = 0
            place = np.clip(place + MOVES[self._actions[:, t]], 0, SIDE - 1)
            cells[:, t] = place[:, 0] * SIDE + place[:, 1]
        self._cells = cells
        self._rewards = np.where(cells == GOALS[self.labels][:, None], 1.0, -0.1).astype(np.float32)
        found: np.ndarray = np.asarray((self._rewards > 0).any(1))
        visited = one_hot(cells, SIDE * SIDE).max(1)[:, GOALS] > 0
        open_ = np.where(found[:, None], one_hot(self.labels, len(GOALS)), ~visited)
        open_ = open_.astype(np.float64)
        self.posterior = open_ / open_.sum(1, keepdims=True)
        self.held_out = held_out

    def __len__(self) -> int:
        return len(self.labels)  # type: ignore[arg-type]

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"in_features": SIDE * SIDE, "num_actions": len(MOVES)}

    def splits(self) -> Mapping[str, Data]:
        return {} if self.held_out is None else {"held out": self.held_out}

    def batch(self, indices: np.ndarray) -> TaskBatch:
        return TaskBatch(
            torch.from_numpy(one_hot(self._cells[indices], SIDE * SIDE)),
            torch.from_numpy(one_hot(self._actions[indices], len(MOVES))),
            torch.from_numpy(self._rewards[indices]),
            torch.as_tensor(indices),
        )
