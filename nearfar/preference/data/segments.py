"""Parts of episodes in pairs, one preferred to the other, and a grid world where every advantage is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.common.randomness import derive_seed
from nearfar.sources.data import Data
from nearfar.sources.fingerprint import digest_of

NAMES = ("obs_1", "action_1", "obs_2", "action_2", "label")
SIDE, SLIP, DISCOUNT = 7, 0.1, 0.9
MOVES = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])


class SegmentBatch(NamedTuple):
    """Pairs of segments: what was observed (N, T, D), what was done, (N, T) choices or (N, T, A) numbers, and the label
    (N,): 1 where the second is preferred, 0.5 for a tie."""

    first: Tensor
    first_actions: Tensor
    second: Tensor
    second_actions: Tensor
    label: Tensor


@dataclass(frozen=True)
class Crossing:
    """A grid of 7 x 7 with a wall across it that has one gate. A step costs 0.1, the goal behind the wall pays 1 and
    ends the episode; a step goes astray in one case of ten. All is known.

    Attributes:
        observations: (S, D) float32, what is seen of each cell.
        moves: (S, A, S), the chance of each next cell.
        rewards: (S, A). goal: the cell. free: cells to begin in.
    """

    observations: np.ndarray
    moves: np.ndarray
    rewards: np.ndarray
    goal: int
    free: np.ndarray

    def soft_advantages(self, alpha: float) -> np.ndarray:
        """(S, A): optimal advantages of the maximum-entropy problem, alpha times the optimum's log-probability."""
        value = np.zeros(len(self.moves))
        for _ in range(200):
            q = self.rewards + DISCOUNT * self.moves @ value
            top = q.max(1)
            value = top + alpha * np.log(np.exp((q - top[:, None]) / alpha).sum(1))
            value[self.goal] = 0.0
        return self.rewards + DISCOUNT * self.moves @ value - value[:, None]

    def worth(self, policy: np.ndarray) -> dict[str, float]:
        """Exactly, of a policy (S, A) from a random free cell: ``return`` (discounted), ``success`` in 20 steps."""
        step = np.einsum("sa,sat->st", policy, self.moves)
        gain = (policy * self.rewards).sum(1)
        step[self.goal], gain[self.goal] = 0.0, 0.0
        value = np.linalg.solve(np.eye(len(step)) - DISCOUNT * step, gain)
        step[self.goal, self.goal] = 1.0
        start = np.zeros(len(step))
        start[self.free] = 1 / len(self.free)
        arrived = start @ np.linalg.matrix_power(step, 20)
        return {"return": float(value[self.free].mean()), "success": float(arrived[self.goal])}


@lru_cache(maxsize=4)
def crossing(seed: int = 0) -> Crossing:
    """The grid of a seed: where gate and goal are."""
    rng = np.random.default_rng(derive_seed(seed, "crossing"))
    cells = SIDE * SIDE
    wall = {SIDE // 2 * SIDE + c for c in range(SIDE)} - {SIDE // 2 * SIDE + int(rng.integers(SIDE))}
    goal = int(rng.integers(SIDE))
    there = np.zeros((cells, len(MOVES)), dtype=int)
    for cell in range(cells):
        for a, (dr, dc) in enumerate(MOVES):
            r, c = cell // SIDE + dr, cell % SIDE + dc
            to = r * SIDE + c
            there[cell, a] = to if 0 <= r < SIDE and 0 <= c < SIDE and to not in wall else cell
    sure = np.eye(cells)[there]
    moves = (1 - SLIP) * sure + SLIP * sure.mean(1, keepdims=True)
    moves[goal] = np.eye(cells)[goal]
    rewards = moves[:, :, goal] - 0.1
    rewards[goal] = 0.0
    free = np.array([c for c in range(cells) if c not in wall and c != goal])
    seen = np.concatenate([np.eye(SIDE)[np.arange(cells) // SIDE], np.eye(SIDE)[np.arange(cells) % SIDE]], 1)
    return Crossing(seen.astype(np.float32), moves, rewards, goal, free)


class Segments(Data):
    """Pairs of segments.

    Args:
        arrays: ``obs_1``, ``obs_2`` (N, T, D), ``action_1``, ``action_2`` (N, T) whole numbers or (N, T, A), ``label``
            (N,) in [0, 1]: 1 where the second is preferred.
        name: what to call the set.
        world: where they come from, if that is known exactly.
        splits: held-out sets by name.

    Raises:
        ValueError: an array is missing or has another shape.
    """

    gives = SegmentBatch

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        name: str = "segments",
        world: Crossing | None = None,
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        if missing := [each for each in NAMES if each not in arrays]:
            raise ValueError(f"{name} has no array {missing[0]}; segments need {', '.join(NAMES)}")
        first, actions, second, others, label = (np.asarray(arrays[each]) for each in NAMES)
        whole = np.issubdtype(actions.dtype, np.integer)
        if first.ndim != 3 or first.shape != second.shape or actions.shape != others.shape or len(label) != len(first):
            raise ValueError(
                f"{name}: obs must be (N, T, D) and alike, actions alike and label (N,), got "
                f"{[np.asarray(arrays[each]).shape for each in NAMES]}"
            )
        if actions.shape[:2] != first.shape[:2] or actions.ndim != (2 if whole else 3):
            raise ValueError(f"{name}: actions must be (N, T) whole numbers or (N, T, A), got {actions.shape}")
        if not ((label >= 0) & (label <= 1)).all():
            raise ValueError(f"{name}: labels must be in [0, 1], 1 where the second segment is preferred")
        kind = np.int64 if whole else np.float32
        self.arrays = (first.astype(np.float32), actions.astype(kind), second.astype(np.float32), others.astype(kind))
        self.label = label.astype(np.float32)
        self.name, self.world = name, world
        self.choices = int(max(actions.max(), others.max())) + 1 if whole else 0
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.label)

    @property
    def facts(self) -> Mapping[str, Any]:
        width = self.choices or self.arrays[1].shape[2]
        return {"observed": self.arrays[0].shape[2], "actions": width, "choices": bool(self.choices)}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def batch(self, indices: np.ndarray) -> SegmentBatch:
        first, actions, second, others, label = (torch.as_tensor(a[indices]) for a in (*self.arrays, self.label))
        return SegmentBatch(first, actions, second, others, label)

    def contents(self) -> Mapping[str, str]:
        return {"segments": digest_of(*self.arrays, self.label)}


def segments_file(path: Path) -> Segments:
    """Segments from an ``.npz`` file."""
    with np.load(path, allow_pickle=False) as found:
        return Segments({name: found[name] for name in found.files}, name=path.stem)


def crossing_segments(
    count: int, seed: int, *, length: int = 8, astray: float = 0.6, alpha: float = 0.1, test: bool = True
) -> Segments:
    """Segments of a policy that takes a random step with chance ``astray`` and else draws from the optimal soft one,
    preferred by the sums of their optimal advantages divided by ``alpha``, as regret has it."""
    world = crossing(seed)
    rng = np.random.default_rng(derive_seed(seed, "segments", int(test)))
    good = world.soft_advantages(alpha)
    best = np.exp(good / alpha)
    policy = (1 - astray) * best / best.sum(1, keepdims=True) + astray / len(MOVES)
    chances, next_chances = policy.cumsum(1), world.moves.cumsum(2)
    state = rng.choice(world.free, 2 * count)
    states, actions, total = [], [], np.zeros(2 * count)
    for _ in range(length):
        a = np.minimum((rng.random((len(state), 1)) > chances[state]).sum(1), len(MOVES) - 1)
        states.append(state)
        actions.append(a)
        total += np.where(state == world.goal, 0.0, good[state, a])
        state = np.minimum((rng.random((len(state), 1)) > next_chances[state, a]).sum(1), len(next_chances) - 1)
    seen, done = world.observations[np.stack(states, 1)], np.stack(actions, 1)
    gap = (total[count:] - total[:count]) / alpha
    label = (rng.random(count) < 1 / (1 + np.exp(-gap.clip(-50, 50)))).astype(np.float32)
    arrays = {"obs_1": seen[:count], "action_1": done[:count], "obs_2": seen[count:], "action_2": done[count:]}
    held = {"test": crossing_segments(400, seed, length=length, astray=astray, alpha=alpha, test=False)} if test else {}
    return Segments({**arrays, "label": label}, name="crossing", world=world, splits=held)
