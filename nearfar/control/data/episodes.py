"""Recorded episodes: a file of them, and the source that only replays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.files import atomic_write
from nearfar.control.data.replay import Experience, Replay, Sampling
from nearfar.control.spaces import Spaces
from nearfar.control.worlds import World, world
from nearfar.sources.archives import read_npz
from nearfar.sources.interaction import Interaction


@dataclass(frozen=True)
class Episodes:
    """Episodes in a row. An episode of n steps has n + 1 rows: the last holds what was seen in the end.

    Args:
        observations: (R, ...) float32, or uint8 pixels with channels first.
        actions: (R,) choices or (R, A) numbers in [-1, 1]; those of last rows mean nothing.
        rewards: (R,); those of last rows mean nothing.
        terminated: (E,) whether each episode was ended by the world itself and not by a limit of steps.
        lengths: (E,) rows of each episode, at least 2.
        spaces: shapes.
        env: the world that they come from; empty where unknown.
        examples: (M, ...) observations in which a task is done, where they are known beside the rewards.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    lengths: np.ndarray
    spaces: Spaces
    env: str = ""
    examples: np.ndarray | None = None

    def __post_init__(self) -> None:
        rows = len(self.observations)
        for name in ("actions", "rewards"):
            if len(getattr(self, name)) != rows:
                raise ValueError(
                    f"there are {rows} observations and {len(getattr(self, name))} {name}; each row has one"
                )
        if self.lengths.ndim != 1 or self.lengths.dtype.kind not in "iu" or not len(self.lengths):
            raise ValueError(f"lengths must be whole numbers (E,) of at least one episode, got {self.lengths.shape}")
        if self.lengths.min() < 2:
            raise ValueError(
                f"an episode has at least 2 rows (a step and what was seen after it), got {self.lengths.min()}"
            )
        if self.lengths.sum() != rows:
            raise ValueError(f"the lengths of the episodes add up to {self.lengths.sum()} rows, and there are {rows}")
        if self.terminated.shape != self.lengths.shape:
            raise ValueError(
                f"there are {len(self.lengths)} episodes, and terminated has shape {self.terminated.shape}"
            )
        if self.examples is not None and self.examples.shape[1:] != self.observations.shape[1:]:
            raise ValueError(
                f"examples have shape {self.examples.shape[1:]} and observations {self.observations.shape[1:]}; they "
                "must be equal"
            )
        for name in ("observations", "actions", "rewards", "examples"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                axes = tuple(range(1, values.ndim))
                bad = np.flatnonzero(~np.isfinite(values).all(axes))
                raise ValueError(f"{len(bad)} rows of {name} are NaN or infinite, the first is row {bad[0]}")
        if self.spaces.discrete and (self.actions.min() < 0 or self.actions.max() >= self.spaces.actions):
            raise ValueError(f"actions must be choices 0 to {self.spaces.actions - 1}, got {self.actions.max()}")

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> np.ndarray:
        """(E,) the first row of each episode."""
        return np.cumsum(self.lengths) - self.lengths

    def returns(self) -> np.ndarray:
        """(E,) the sum of each episode's rewards."""
        inside = np.ones(len(self.rewards), bool)
        inside[self.starts + self.lengths - 1] = False
        return np.add.reduceat(np.where(inside, self.rewards, 0), self.starts)

    def values(self, discount: float) -> np.ndarray:
        """(R,) the discounted rewards from each row to its episode's end; 0 in last rows."""
        found = self.rewards.astype(np.float64)
        ends = self.starts + self.lengths - 1
        found[ends] = 0
        for ahead in range(int(self.lengths.max()) - 2, -1, -1):  # all episodes at once, from behind
            rows = self.starts[self.lengths - 1 > ahead] + ahead
            found[rows] += discount * found[rows + 1]
        return found

    def replay(self) -> Replay:
        """All of them as a replay of one environment."""
        rows = len(self.observations)
        found = Replay(self.spaces, 1, max(rows, 3))
        found.written = rows
        found.observations[:rows, 0] = self.observations
        found.actions[:rows, 0], found.rewards[:rows, 0] = self.actions, self.rewards
        ends = self.starts + self.lengths - 1
        found.end[:rows, 0] = np.repeat(ends, self.lengths)
        found.age[:rows, 0] = np.arange(rows) - np.repeat(self.starts, self.lengths)
        found.last[ends, 0] = True
        found.terminated[ends - 1, 0] = self.terminated
        return found

    def save(self, path: Path) -> None:
        """Write them as ``.npz``."""
        more: dict[str, Any] = {} if self.examples is None else {"examples": self.examples}
        with atomic_write(Path(path)) as file:
            np.savez_compressed(
                file,
                **more,
                observations=self.observations,
                actions=self.actions,
                rewards=self.rewards,
                terminated=self.terminated,
                lengths=self.lengths,
                env=np.array(self.env),
                num_actions=np.array(self.spaces.actions),
                goal=np.array([self.spaces.goal, self.spaces.goal_from]),
            )


def read_episodes(path: Path) -> Episodes:
    """Episodes of an ``.npz`` file as :meth:`Episodes.save` and ``nearfar data record`` write it.

    Needed are ``observations``, ``actions`` and ``lengths``; rewards are 0 where there are none. ``env`` names the
    world to act in; ``goal`` is the pair (numbers of a goal, its first column), otherwise a goal is a whole
    observation.

    Raises:
        ValueError: an array is missing, or does not fit the others.
    """
    arrays = read_npz(path)
    missing = [name for name in ("observations", "actions", "lengths") if name not in arrays]
    if missing:
        raise ValueError(f"{path} has no {' and no '.join(missing)}: it holds {', '.join(arrays) or 'nothing'}")
    seen, actions = arrays["observations"], arrays["actions"]
    pixels = seen.dtype == np.uint8 and seen.ndim == 4
    if not pixels and seen.ndim != 2:
        raise ValueError(
            f"observations must be numbers (R, D) or uint8 pixels (R, C, H, W), got {seen.dtype} {seen.shape}"
        )
    discrete = actions.dtype.kind in "iu" and actions.ndim == 1
    if not discrete and not (actions.dtype.kind == "f" and actions.ndim == 2):
        raise ValueError(f"actions must be whole numbers (R,) or numbers (R, A), got {actions.dtype} {actions.shape}")
    count = int(arrays.get("num_actions", actions.max() + 1 if discrete else actions.shape[1]))
    goal, goal_from = (int(n) for n in np.ravel(arrays.get("goal", [int(np.prod(seen.shape[1:])), 0])))
    try:
        return Episodes(
            seen if pixels else seen.astype(np.float32),
            actions.astype(np.int64) if discrete else actions.astype(np.float32),
            arrays.get("rewards", np.zeros(len(seen))).astype(np.float32),
            arrays.get("terminated", np.zeros(len(arrays["lengths"]), bool)).astype(bool),
            arrays["lengths"],
            Spaces(seen.shape[1:], count, discrete=discrete, goal=goal, goal_from=goal_from),
            str(arrays.get("env", "")),
            arrays.get("examples"),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


class Recorded(Interaction):
    """Episodes as a source: it never acts, and draws batches of what was recorded.

    Args:
        episodes: what was recorded.
        name: what people call it.
        env: the world to evaluate in; the one that the episodes come from when not given.
    """

    gives = Experience
    asks = ""

    def __init__(self, episodes: Episodes, *, name: str = "episodes", env: str | None = None) -> None:
        self.episodes, self.name = episodes, name
        self.env = env or episodes.env
        self.spaces = episodes.spaces
        self.replay = episodes.replay()

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"spaces": self.spaces}

    def draw(self, agent: Any, step: int, rng: np.random.Generator, batch_size: int) -> Any:
        return self.replay.sample(rng, batch_size, getattr(agent, "sampling", Sampling()))

    def examples(self, count: int, *, seed: int = 0) -> np.ndarray:
        """(count, ...) observations in which the task is done: those of the file, or those after a reward above 0.

        Raises:
            ValueError: there are none.
        """
        found = self.episodes.examples
        if found is None:
            done = self.episodes.rewards[:-1] > 0
            done[self.episodes.starts[1:] - 1] = False  # what stands in last rows means nothing
            found = self.episodes.observations[1:][done]
        if not len(found):
            raise ValueError(f"{self.name} has no reward above 0 and no examples, so nobody knows what is wanted")
        rng = np.random.default_rng(seed)
        return found[rng.choice(len(found), count, replace=len(found) < count)]

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass

    def fresh(self, count: int) -> World:
        """A world like the recorded one, to evaluate in.

        Raises:
            ValueError: nobody knows which, or it does not fit the episodes.
        """
        if not self.env:
            raise ValueError(f"{self.name} does not say in which world it was recorded; give --env to evaluate in one")
        found = world(self.env, count)
        unequal = self.spaces.unequal(found.spaces)
        if unequal:
            raise ValueError(f"{self.name} does not fit {self.env}: they have {unequal}")
        return found
