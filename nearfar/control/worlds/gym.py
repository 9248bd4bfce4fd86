"""Environments of gymnasium, many at a time, as worlds."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.common.extras import needed
from nearfar.control.spaces import Spaces, one_hot
from nearfar.control.worlds.world import Stepped, World
from nearfar.spelling import meant

LARGEST = 96
"""Pictures with a longer side are greyed and scaled to 84 by 84."""


RAM: dict[str, dict[str, int]] = {
    "Pong": {
        "player_y": 51,
        "player_x": 46,
        "enemy_y": 50,
        "enemy_x": 45,
        "ball_x": 49,
        "ball_y": 54,
        "enemy_score": 13,
        "player_score": 14,
    },
    "Breakout": {"ball_x": 99, "ball_y": 101, "player_x": 72, "blocks_hit_count": 77, "score": 84},
    "Freeway": {"player_y": 14, "score": 103, **{f"enemy_car_x_{n}": 108 + n for n in range(10)}},
    "Boxing": {
        "player_x": 32,
        "player_y": 34,
        "enemy_x": 33,
        "enemy_y": 35,
        "enemy_score": 19,
        "clock": 17,
        "player_score": 18,
    },
}
"""Where Atari games keep what is true of them (the Atari annotated RAM interface, arXiv 1906.08226)."""


class GymWorld(World):
    """``count`` copies of a gymnasium environment, seeded from the ``rng`` of each reset.

    Observations of numbers are flattened; of pixels, channels come first, and pictures with a side above 96 become grey
    and 84 by 84. Of environments with ``desired_goal`` the reached goal is appended to the observation. Actions in
    [-1, 1] are stretched to the environment's bounds. What such an environment holds inside cannot be saved in general:
    see ``exact``.

    Args:
        name: an id that ``gymnasium.make`` knows; ``ALE/...`` and ``MiniGrid-...`` need their packages.
        count: how many environments.
    """

    exact = False

    def __init__(self, name: str, count: int = 1, **options: Any) -> None:
        super().__init__(count)
        gym = needed("gymnasium", "control", f"The environment {name}")
        if name.startswith("ALE/"):
            gym.register_envs(needed("ale_py", "control", f"The environment {name}"))
        elif name.startswith("MiniGrid"):
            needed("minigrid", "control", f"The environment {name}")
        if name not in gym.registry:
            hint = meant(name, gym.registry, most=3, cutoff=0.5) or "; see gymnasium.registry"
            raise ValueError(f"there is no environment {name!r}, neither of ours nor of gymnasium's{hint}")
        self.name = name
        self._env = gym.make_vec(
            name, num_envs=count, vectorization_mode="sync", vector_kwargs={}, render_mode="rgb_array", **options
        )
        self._seen = _Seen(self._env.single_observation_space, name)
        action = self._env.single_action_space
        discrete = isinstance(action, gym.spaces.Discrete)
        if not discrete and not (isinstance(action, gym.spaces.Box) and np.isfinite([action.low, action.high]).all()):
            raise ValueError(f"{name} takes actions of {action}, and this acts by choices or by bounded numbers")
        self._action = action
        self.limit = self._env.spec.max_episode_steps or 10**9
        self.spaces = Spaces(
            self._seen.shape,
            int(action.n) if discrete else int(np.prod(action.shape)),
            discrete=discrete,
            goal=self._seen.goal,
            goal_from=self._seen.goal_from,
        )
        self._memory = RAM.get(name.removeprefix("ALE/").partition("-")[0], {})
        self.truths = tuple(self._memory)
        self._now = np.zeros((count, *self._seen.shape), self._seen.dtype)
        self._goals = np.zeros((count, self._seen.goal), np.float32)

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        self.age[:] = 0
        self.over[:] = False
        raw, _ = self._env.reset(seed=[int(n) for n in rng.integers(2**31 - 1, size=self.count)])
        return self._take(raw)

    def step(self, actions: np.ndarray, rng: np.random.Generator) -> Stepped:
        actions = self.checked(actions)
        if self.spaces.discrete:
            given = actions + self._action.start
        else:
            low, high = self._action.low.ravel(), self._action.high.ravel()
            given = (low + (actions + 1) / 2 * (high - low)).reshape(self.count, *self._action.shape)
        raw, rewards, terminated, truncated, info = self._env.step(given.astype(self._action.dtype))
        if not np.isfinite(rewards).all():
            raise ValueError(f"{self.name} gave a reward that is NaN or infinite")
        reached = info.get("is_success")
        self.age = np.where(self.over, 0, self.age + 1).astype(np.int32)
        self.over = terminated | truncated
        reached = None if reached is None else np.asarray(reached).astype(bool)
        return Stepped(self._take(raw), rewards.astype(np.float32), terminated, self.over.copy(), reached)

    def truth(self) -> np.ndarray:
        """Of Atari games in :data:`RAM`, the bytes (N, V) of their memory that are named there."""
        if not self.truths:
            return super().truth()
        memory = [env.unwrapped.ale.getRAM() for env in self._env.envs]
        return np.stack(memory)[:, [*self._memory.values()]]

    def _take(self, raw: Any) -> np.ndarray:
        self._now, self._goals = self._seen(raw)
        return self._now

    def begin(self, which: np.ndarray, rng: np.random.Generator) -> None:
        raise NotImplementedError("gymnasium begins episodes itself")

    def move(self, actions: np.ndarray) -> Any:
        raise NotImplementedError("gymnasium moves itself")

    def observe(self) -> np.ndarray:
        return self._now

    @property
    def goals(self) -> np.ndarray | None:
        return self._goals if self.spaces.goal else None

    def picture(self, index: int = 0) -> np.ndarray:
        found = self._env.render()
        if found is None or found[index] is None:
            raise ValueError(f"{self.name} draws no pictures")
        return np.asarray(found[index], np.uint8)


class _Seen:
    """How a space's observations become one array (N, ...), and what goals there are."""

    def __init__(self, space: Any, name: str) -> None:
        gym = needed("gymnasium", "control", f"The environment {name}")
        self.goal = self.goal_from = 0
        self.parts: tuple[str, ...] = ()
        self.choices = 0
        if isinstance(space, gym.spaces.Dict):
            if {"observation", "achieved_goal", "desired_goal"} <= set(space.spaces):
                self.parts = ("observation", "achieved_goal")
                self.goal = int(np.prod(space["desired_goal"].shape))
                self.goal_from = int(np.prod(space["observation"].shape))
                self.shape: tuple[int, ...] = (self.goal_from + self.goal,)
                self.dtype: Any = np.float32
                return
            if "image" not in space.spaces:
                raise ValueError(
                    f"{name} gives {', '.join(space.spaces)}; this reads observations with achieved_goal and "
                    "desired_goal, or with an image"
                )
            self.parts, space = ("image",), space["image"]
        if isinstance(space, gym.spaces.Discrete):
            self.choices = int(space.n)
            self.start = int(space.start)
            self.shape, self.dtype = (self.choices,), np.float32
        elif isinstance(space, gym.spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3):
            height, width = space.shape[:2]
            channels = space.shape[2] if len(space.shape) == 3 else 1
            small = min(height, width) < 16  # a symbolic view such as MiniGrid's, not a picture
            self.large = max(height, width) > LARGEST
            self.shape = (int(np.prod(space.shape)),) if small else (channels, height, width)
            self.shape = (1, 84, 84) if self.large else self.shape
            self.dtype = np.float32 if small else np.uint8
        elif isinstance(space, gym.spaces.Box):
            self.shape, self.dtype = (int(np.prod(space.shape)),), np.float32
        else:
            raise ValueError(f"{name} gives observations of {space}; this reads boxes, choices, pictures and goals")

    def __call__(self, raw: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.goal:
            flat = [np.asarray(raw[part], np.float32).reshape(len(raw[part]), -1) for part in self.parts]
            return np.concatenate(flat, 1), np.asarray(raw["desired_goal"], np.float32).reshape(len(flat[0]), -1)
        found = np.asarray(raw[self.parts[0]] if self.parts else raw)
        none = np.zeros((len(found), 0), np.float32)
        if self.choices:
            return one_hot(found - self.start, self.choices), none
        if len(self.shape) == 1:
            return found.reshape(len(found), -1).astype(np.float32), none
        found = found[..., None] if found.ndim == 3 else found
        if self.large:
            import cv2

            grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) if f.shape[-1] == 3 else f[..., 0] for f in found]
            return np.stack([cv2.resize(g, (84, 84), interpolation=cv2.INTER_AREA) for g in grey])[:, None], none
        return np.ascontiguousarray(found.transpose(0, 3, 1, 2)), none
