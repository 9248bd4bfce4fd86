"""What was seen, kept once: whole episodes, from which transitions, futures, stacks and sequences are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.control.spaces import Spaces, one_hot


class Experience:
    """Transitions or sequences of episodes, as a method samples them."""

    __slots__ = ()


class _Transitions(NamedTuple):
    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    continues: Tensor
    futures: Tensor
    goals: Tensor


class Transitions(_Transitions, Experience):
    """Transitions of episodes.

    Attributes:
        observations: (B, ...) what was seen; pixels are uint8, stacked frames lie behind each other as channels.
        actions: (B, A) what was done, choices as one-hot rows.
        rewards: (B,).
        next_observations: (B, ...) what was seen then.
        continues: (B,) 0 where the world itself ended the episode there and 1 elsewhere, also at a limit of steps.
        futures: (B, ...) an observation of each episode's future, or the next ones where no future was asked for.
        goals: (B, G) what the agent was to do, such as its goal or its skill; (B, 0) where there is none.
    """

    __slots__ = ()


class _Sequences(NamedTuple):
    observations: Tensor
    actions: Tensor
    rewards: Tensor
    returns: Tensor


class Sequences(_Sequences, Experience):
    """Pieces of episodes, all of one length.

    Attributes:
        observations: (B, T + 1, ...).
        actions: (B, T, A), choices as one-hot rows.
        rewards: (B, T).
        returns: (B,) what the rest of the episode gave from the first step on, discounted; 0 where nobody asked.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Sampling:
    """What a method wants drawn from the replay.

    Args:
        discount: of the future states that come with transitions, in (0, 1]; 0 where none are wanted.
        stack: frames that an observation of pixels shows, from the oldest to the newest.
        length: steps of a sequence; 0 for transitions.
        returns: discount of the returns that come with sequences, in (0, 1]; 0 where none are wanted.
        skills: how many skills the agent is told to follow, as one-hot goals; 0 for the world's goals.
        skill_steps: steps for which one skill is kept.
    """

    discount: float = 0.0
    stack: int = 1
    length: int = 0
    returns: float = 0.0
    skills: int = 0
    skill_steps: int = 50


class Replay:
    """A ring of the last ``capacity`` rows of each of N environments; every observation is stored once.

    A row is an observation, what was done at it and what that gave. The last row of an episode holds its last
    observation and no action. Time is counted from the first row on, so that row t is at ``t % capacity``.

    Args:
        spaces: shapes.
        environments: N.
        capacity: rows of each environment, at least 3.
        goal: numbers of the goal that is kept with each row.
    """

    def __init__(self, spaces: Spaces, environments: int, capacity: int, *, goal: int = 0) -> None:
        if capacity < 3:
            raise ValueError(f"a replay needs at least 3 rows for each environment, got {capacity}")
        self.spaces, self.environments, self.capacity = spaces, environments, capacity
        kind = np.uint8 if spaces.pixels else np.float32
        rows = (capacity, environments)
        self.observations = np.zeros((*rows, *spaces.observation), kind)
        self.actions = np.zeros(
            rows if spaces.discrete else (*rows, spaces.actions), np.int64 if spaces.discrete else "f4"
        )
        self.rewards = np.zeros(rows, np.float32)
        self.terminated = np.zeros(rows, bool)
        self.last = np.zeros(rows, bool)
        self.age = np.zeros(rows, np.int32)
        self.end = np.full(rows, -1, np.int64)
        self.goals = np.zeros((*rows, goal), np.float32)
        self.written = 0

    _ARRAYS = ("observations", "actions", "rewards", "terminated", "last", "age", "end", "goals")

    @property
    def oldest(self) -> int:
        """The time of the oldest row that is still there."""
        return max(self.written - self.capacity, 0)

    def __len__(self) -> int:
        """Rows that are there, of all environments together."""
        return (self.written - self.oldest) * self.environments

    def begin(self, observations: np.ndarray) -> None:
        """The first observations (N, ...), after which :meth:`add` goes on. Episodes that were not over end here."""
        if self.written:
            at = (self.written - 1) % self.capacity
            for env in np.flatnonzero(~self.last[at]):
                self._close(env)
            self.last[at] = True
        self._open(observations, np.zeros(self.environments, np.int32))

    def _open(self, observations: np.ndarray, age: np.ndarray) -> None:
        at = self.written % self.capacity
        self.observations[at] = observations
        self.age[at] = age
        self.last[at] = False
        self.end[at] = -1
        self.written += 1

    def _close(self, env: Any) -> None:
        """The newest row of an environment is the last of its episode."""
        end = self.written - 1
        start = max(end - int(self.age[end % self.capacity, env]), self.oldest)
        times = np.arange(start, end + 1) % self.capacity
        self.end[times, env] = end

    def add(
        self,
        actions: np.ndarray,
        rewards: np.ndarray,
        terminated: np.ndarray,
        over: np.ndarray,
        observations: np.ndarray,
        goals: np.ndarray | None = None,
    ) -> None:
        """What was done at the newest row, what it gave, and the observations (N, ...) that followed."""
        at = (self.written - 1) % self.capacity
        self.actions[at], self.rewards[at], self.terminated[at] = actions, rewards, terminated
        if goals is not None:
            self.goals[at] = goals
        self._open(observations, np.where(self.last[at], 0, self.age[at] + 1))
        self.last[(self.written - 1) % self.capacity] = over
        for env in np.flatnonzero(over):
            self._close(env)

    def newest(self, stack: int = 1) -> np.ndarray:
        """The newest observations (N, ...), with the frames before them."""
        time = np.full(self.environments, self.written - 1)
        return self.seen(time, np.arange(self.environments), stack)

    def seen(self, time: np.ndarray, env: np.ndarray, stack: int = 1) -> np.ndarray:
        """Observations at times (B,) of environments (B,); of pixels the last ``stack`` frames as channels, in which
        the first frame of an episode stands for those before it."""
        if stack == 1:
            return self.observations[time % self.capacity, env]
        back = np.minimum(self.age[time % self.capacity, env], time - self.oldest)
        before = time[:, None] - np.minimum(np.arange(stack - 1, -1, -1)[None], back[:, None])
        frames = self.observations[before % self.capacity, env[:, None]]
        return frames.reshape(len(time), -1, *frames.shape[-2:])

    def _seen_twice(self, time: np.ndarray, env: np.ndarray, stack: int) -> tuple[np.ndarray, np.ndarray]:
        """What :meth:`seen` gives at rows (B,) and at those that follow them in their episodes. Of stacked frames both
        are views of one array, because all but one frame is in both."""
        if stack == 1:
            return self.seen(time, env), self.seen(time + 1, env)
        back = np.minimum(self.age[time % self.capacity, env], time - self.oldest)
        shown = time[:, None] + 1 - np.minimum(np.arange(stack, -1, -1)[None], back[:, None] + 1)
        frames = self.observations[shown % self.capacity, env[:, None]]
        shape = (len(time), -1, *frames.shape[-2:])
        return frames[:, :-1].reshape(shape), frames[:, 1:].reshape(shape)

    def ends(self, time: np.ndarray, env: np.ndarray) -> np.ndarray:
        """The time of the last row so far of the episodes that rows (B,) belong to."""
        found = self.end[time % self.capacity, env]
        return np.where(found < 0, self.written - 1, found)

    def draw_rows(self, rng: np.random.Generator, count: int, length: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Times and environments (count,) of rows that at least ``length`` steps of their episode follow.

        Raises:
            ValueError: there are none, or hardly any.
        """
        times, envs = np.empty(0, np.int64), np.empty(0, np.int64)
        for _ in range(64):
            wanted = count - len(times)
            if wanted <= 0 or self.written - self.oldest <= length:
                break
            time = rng.integers(self.oldest, self.written - length, size=wanted + wanted // 4 + 8)
            env = rng.integers(self.environments, size=len(time))
            fine = time + length <= self.ends(time, env)
            times, envs = np.concatenate([times, time[fine]]), np.concatenate([envs, env[fine]])
        if len(times) < count:
            raise ValueError(
                f"there are too few pieces of {length} steps within an episode to draw {count}; record more, or ask "
                "for shorter ones"
            )
        return times[:count], envs[:count]

    def sample(self, rng: np.random.Generator, count: int, sampling: Sampling) -> Transitions | Sequences:
        """``count`` transitions or sequences, drawn uniformly with replacement."""
        if sampling.length:
            return self.sequences(*self.draw_rows(rng, count, sampling.length), sampling)
        time, env = self.draw_rows(rng, count)
        ahead = future_steps(rng.random(count), self.ends(time, env) - time, sampling.discount or 1.0)
        at = time % self.capacity
        before, after = self._seen_twice(time, env, sampling.stack)
        future = self.seen(time + ahead, env, sampling.stack) if sampling.discount else after
        return Transitions(
            torch.from_numpy(before),
            torch.from_numpy(self._acted(self.actions[at, env])),
            torch.from_numpy(self.rewards[at, env]),
            torch.from_numpy(after),
            torch.from_numpy((~self.terminated[at, env]).astype(np.float32)),
            torch.from_numpy(future),
            torch.from_numpy(self.goals[at, env]),
        )

    def sequences(self, time: np.ndarray, env: np.ndarray, sampling: Sampling) -> Sequences:
        """The sequences that begin at times (B,) of environments (B,)."""
        steps = time[:, None] + np.arange(sampling.length + 1)[None]
        envs = np.repeat(env, sampling.length + 1)
        seen = self.seen(steps.ravel(), envs, sampling.stack)
        at = steps[:, :-1] % self.capacity
        return Sequences(
            torch.from_numpy(seen.reshape(*steps.shape, *seen.shape[1:])),
            torch.from_numpy(self._acted(self.actions[at, env[:, None]])),
            torch.from_numpy(self.rewards[at, env[:, None]]),
            torch.from_numpy(self.returns(time, env, sampling.returns)),
        )

    def returns(self, time: np.ndarray, env: np.ndarray, discount: float) -> np.ndarray:
        """The discounted rewards (B,) from rows (B,) to the ends of their episodes; 0 for a discount of 0."""
        left = self.ends(time, env) - time
        found = np.zeros(len(time), np.float32)
        for ahead in range(int(left.max(initial=0)) if discount else 0):
            inside = left > ahead
            found += np.where(inside, self.rewards[(time + ahead) % self.capacity, env] * discount**ahead, 0)
        return found

    def _acted(self, actions: np.ndarray) -> np.ndarray:
        return one_hot(actions, self.spaces.actions) if self.spaces.discrete else actions

    def state_dict(self) -> dict[str, Any]:
        """The rows that are there, as tensors."""
        kept = np.arange(self.oldest, self.written) % self.capacity
        arrays = {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name)[kept])) for name in self._ARRAYS}
        return {"written": self.written, **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the rows that :meth:`state_dict` gave."""
        self.written = int(state["written"])
        kept = np.arange(self.oldest, self.written) % self.capacity
        for name in self._ARRAYS:
            found = state[name].numpy()
            if found.shape[1:] != getattr(self, name).shape[1:] or len(found) != len(kept):
                raise ValueError("the replay of the checkpoint is of another size; resume with the run's own settings")
            getattr(self, name)[kept] = found


def future_steps(chance: np.ndarray, left: np.ndarray, discount: float) -> np.ndarray:
    r"""How many steps ahead, in 1 .. ``left``, with :math:`P(k) \propto \gamma^k`: the future within an episode.

    This is the distribution by which the released Contrastive RL draws the goals of a trajectory, cut off where the
    episode ends.

    Args:
        chance: (B,) uniform numbers in [0, 1).
        left: (B,) steps until the end, at least 1.
        discount: in (0, 1]; 1 for a uniform future.
    """
    if not 0 < discount <= 1:
        raise ValueError(f"the discount of the future must be in (0, 1], got {discount}")
    if discount == 1:
        return 1 + np.minimum((chance * left).astype(np.int64), left - 1)
    inside = 1 - chance * (1 - discount ** left.astype(np.float64))
    return np.clip(np.ceil(np.log(inside) / np.log(discount)), 1, left).astype(np.int64)
