"""Many copies of an environment that step together."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nearfar.control.spaces import Spaces


class Stepped(NamedTuple):
    """What a step of N environments gave.

    Attributes:
        observations: (N, ...) after the step.
        rewards: (N,) float32.
        terminated: (N,) the episode has ended in the world itself, so that nothing follows.
        over: (N,) the episode has ended, there or by its limit of steps. The next step's action is then ignored and
            gives the first observation of a new episode, with reward 0.
        reached: (N,) the goal is reached now; ``None`` in a world that knows no success.
    """

    observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    over: np.ndarray
    reached: np.ndarray | None


class World(abc.ABC):
    """``count`` environments of one kind. It keeps no random state: what is random is drawn from the ``rng`` given.

    Attributes:
        name: what people call it.
        spaces: what an agent sees and does.
        count: how many environments.
        limit: steps after which an episode ends.
        exact: whether :meth:`state_dict` holds all of its state.
    """

    name: str = "world"
    spaces: Spaces
    limit: int
    exact: bool = True

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"a world needs at least one environment, got {count}")
        self.count = count
        self.age = np.zeros(count, np.int32)
        self.over = np.zeros(count, bool)

    # What a world writes --------------------------------------------------------------------------------------

    @abc.abstractmethod
    def begin(self, which: np.ndarray, rng: np.random.Generator) -> None:
        """Begin new episodes in the environments ``which`` (indices)."""

    @abc.abstractmethod
    def move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Move all environments: rewards (N,), terminated (N,), reached (N,) or ``None``."""

    @abc.abstractmethod
    def observe(self) -> np.ndarray:
        """The observations (N, ...) as they are now: a new array."""

    @abc.abstractmethod
    def picture(self, index: int = 0) -> np.ndarray:
        """One environment as people see it, (H, W, 3) uint8."""

    parts: tuple[str, ...] = ()
    """Names of the arrays that are its state, besides ages."""

    @property
    def goals(self) -> np.ndarray | None:
        """The goals (N, goal) that the episodes are set; ``None`` where there are none."""
        return None

    def scripted(self, rng: np.random.Generator) -> np.ndarray:
        """What a hand-written policy does now; not every world has one."""
        raise ValueError(f"{self.name} has no scripted policy; record with --policy random, or with a run")

    truths: tuple[str, ...] = ()
    """Names of what :meth:`truth` gives."""

    def truth(self) -> np.ndarray:
        """What is true now (N, V), of which an agent may see a picture only; for probes."""
        return np.zeros((self.count, 0), np.float32)

    # What everyone uses ---------------------------------------------------------------------------------------

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """New episodes everywhere; their first observations."""
        self.age[:] = 0
        self.over[:] = False
        self.begin(np.arange(self.count), rng)
        return self.observe()

    def step(self, actions: np.ndarray, rng: np.random.Generator) -> Stepped:
        """One step of all environments; those whose episode was over begin anew instead."""
        actions = self.checked(actions)
        fresh = self.over
        rewards, terminated, reached = self.move(actions)
        self.age += 1
        if fresh.any():
            self.begin(np.flatnonzero(fresh), rng)
            rewards = np.where(fresh, np.float32(0), rewards)
            terminated = terminated & ~fresh
            reached = None if reached is None else reached & ~fresh
            self.age[fresh] = 0
        self.over = terminated | (self.age >= self.limit)
        return Stepped(self.observe(), rewards, terminated, self.over.copy(), reached)

    def checked(self, actions: np.ndarray) -> np.ndarray:
        """Actions as this world takes them: (N,) choices or (N, A) numbers, the latter clipped to [-1, 1]."""
        shape = (self.count,) if self.spaces.discrete else (self.count, self.spaces.actions)
        actions = np.asarray(actions)
        if actions.shape != shape:
            raise ValueError(f"{self.name} takes actions of shape {shape}, got {actions.shape}")
        return actions.astype(np.int64) if self.spaces.discrete else np.clip(actions, -1.0, 1.0).astype(np.float32)

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Actions drawn uniformly."""
        if self.spaces.discrete:
            return rng.integers(self.spaces.actions, size=self.count)
        return rng.uniform(-1, 1, (self.count, self.spaces.actions)).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """The state as arrays."""
        return {name: getattr(self, name).copy() for name in ("age", "over", *self.parts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state that :meth:`state_dict` gave."""
        for name in ("age", "over", *self.parts):
            found = np.asarray(state[name])
            mine = getattr(self, name)
            if found.shape != mine.shape:
                raise ValueError(f"{self.name} has {self.count} environments, and the state is of {len(found)}")
            setattr(self, name, found.astype(mine.dtype))
