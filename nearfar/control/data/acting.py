"""The source that acts: worlds, the replay of what was seen in them, and how many steps there are to a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.common.randomness import derive_seed
from nearfar.control.data.episodes import Episodes
from nearfar.control.data.replay import Experience, Replay, Sampling
from nearfar.control.spaces import Spaces, one_hot
from nearfar.control.worlds import World, world
from nearfar.sources.interaction import Interaction

RECENT = 100


class Observed(NamedTuple):
    """What an agent acts on.

    Attributes:
        observations: (N, ...); pixels are uint8 with stacked frames as channels.
        goals: (N, ...) what it is to do, such as a goal or a skill; (N, 0) where nothing is set.
    """

    observations: Tensor
    goals: Tensor


class Acting(Interaction):
    """Environments in which the agent acts, and a replay from which it learns.

    A draw lets every environment make ``acts`` steps and then gives a batch of the replay. Before the first draw,
    ``random_steps`` steps are made at random, as far as the agent learns from what it does.

    Args:
        env: the world's name.
        envs: how many environments side by side.
        acts: steps of every environment for each batch; 0 leaves it at the random ones.
        random_steps: steps at random before the first batch, of all environments together.
        capacity: steps that the replay holds, of all environments together.
    """

    gives = Experience

    def __init__(
        self, env: str, *, envs: int = 8, acts: int = 1, random_steps: int = 2000, capacity: int = 100_000
    ) -> None:
        for name, value, least in (("acts", acts, 0), ("random_steps", random_steps, envs), ("capacity", capacity, 3)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.env, self.acts, self.random_steps = env, acts, random_steps
        self.world = world(env, envs)
        self.name = self.world.name
        self.exact = self.world.exact
        self.spaces: Spaces = self.world.spaces
        self.rows = max(capacity // envs, 3)
        self._replay: Replay | None = None
        self._told = np.zeros((envs, 0), np.float32)
        self._return = np.zeros(envs)
        self._length = np.zeros(envs, np.int64)
        self._success = np.zeros(envs, bool)
        self._finished: deque[tuple[float, float, float]] = deque(maxlen=RECENT)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"spaces": self.spaces}

    @property
    def replay(self) -> Replay:
        if self._replay is None:
            raise RuntimeError(f"nothing has been seen in {self.name} yet")
        return self._replay

    def fresh(self, count: int) -> World:
        """A world like its own, to evaluate in."""
        return world(self.env, count)

    def begin(self, agent: Any, seed: int) -> None:
        rng = np.random.default_rng(derive_seed(seed, "interaction begins"))
        sampling = _wants(agent)
        self._replay = Replay(self.spaces, self.world.count, self.rows, goal=sampling.skills)
        self._replay.begin(self.world.reset(rng))
        self._told = skills(rng, self.world.count, sampling)
        for _ in range(-(-self.random_steps // self.world.count)):
            self._step(self.world.random(rng), rng, sampling)

    def draw(self, agent: Any, step: int, rng: np.random.Generator, batch_size: int) -> Any:
        sampling = _wants(agent)
        for _ in range(self.acts):
            observed = watched(self.replay.newest(sampling.stack), self._told if sampling.skills else self.world.goals)
            self._step(acted(agent, observed, rng, self.spaces), rng, sampling)
        return self.replay.sample(rng, batch_size, sampling)

    def _step(self, actions: np.ndarray, rng: np.random.Generator, sampling: Sampling) -> None:
        beginning = self.world.over  # its action is ignored
        stepped = self.world.step(actions, rng)
        self.replay.add(actions, stepped.rewards, stepped.terminated, stepped.over, stepped.observations, self._told)
        self._return += stepped.rewards
        self._length += ~beginning
        if stepped.reached is not None:
            self._success |= stepped.reached
        for env in np.flatnonzero(stepped.over):
            won = float(self._success[env]) if stepped.reached is not None else float("nan")
            self._finished.append((float(self._return[env]), float(self._length[env]), won))
        for counted in (self._return, self._length, self._success):
            counted[stepped.over] = 0
        if sampling.skills and (renew := stepped.over | (self.world.age % sampling.skill_steps == 0)).any():
            self._told = np.where(renew[:, None], skills(rng, self.world.count, sampling), self._told)

    def measured(self) -> dict[str, float]:
        if not self._finished:
            return {}
        returns, lengths, won = np.array(self._finished).T
        found = {"return": float(returns.mean()), "length": float(lengths.mean())}
        if not np.isnan(won).all():
            found["success"] = float(np.nanmean(won))
        return {**found, "env steps": float(self.replay.written * self.world.count)}

    def state_dict(self) -> dict[str, Any]:
        if self._replay is None:
            return {}
        counts: dict[str, np.ndarray] = {
            "told": self._told,
            "return": self._return,
            "length": self._length,
            "success": self._success,
        }
        return {
            "replay": self._replay.state_dict(),
            "world": _tensors(self.world.state_dict()) if self.exact else {},
            "counts": _tensors(counts),
            "finished": torch.tensor(list(self._finished), dtype=torch.float64).reshape(-1, 3),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not state:
            raise ValueError(f"the checkpoint holds nothing of {self.name}")
        counts = {name: value.numpy().copy() for name, value in state["counts"].items()}
        self._told = counts["told"]
        self._replay = Replay(self.spaces, self.world.count, self.rows, goal=self._told.shape[1])
        self._replay.load_state_dict(state["replay"])
        self._return, self._length, self._success = counts["return"], counts["length"], counts["success"]
        self._finished = deque((tuple(row) for row in state["finished"].tolist()), maxlen=RECENT)
        if self.exact:
            self.world.load_state_dict({name: value.numpy() for name, value in state["world"].items()})
            return
        self._return[:], self._length[:], self._success[:] = 0, 0, False
        rng = np.random.default_rng(derive_seed(self._replay.written, "interaction goes on"))
        self._replay.begin(self.world.reset(rng))


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def _wants(agent: Any) -> Sampling:
    return getattr(agent, "sampling", Sampling())


def skills(rng: np.random.Generator, count: int, sampling: Sampling) -> np.ndarray:
    """A skill for each environment, one-hot (count, skills)."""
    return one_hot(rng.integers(max(sampling.skills, 1), size=count), sampling.skills)


def watched(observations: np.ndarray, goals: np.ndarray | None) -> Observed:
    """Arrays as what an agent acts on."""
    none = np.zeros((len(observations), 0), np.float32)
    return Observed(torch.from_numpy(observations), torch.from_numpy(none if goals is None else goals))


@torch.no_grad()
def acted(agent: Any, observed: Observed, rng: np.random.Generator | None, spaces: Spaces) -> np.ndarray:
    """What an agent does, as a world takes it; drawn from its policy with ``rng``, its best without."""
    device = getattr(agent, "device", torch.device("cpu"))
    generator = None
    if rng is not None:
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    found = agent.act(Observed(*(part.to(device) for part in observed)), generator=generator)
    return found.argmax(-1).cpu().numpy() if spaces.discrete else found.float().cpu().numpy()


def record(where: World, steps: int, *, policy: Any = "random", seed: int = 0) -> Episodes:
    """Let a policy act for about ``steps`` steps.

    Args:
        where: the world; its environments are recorded side by side.
        steps: of all environments together.
        policy: ``random``, ``scripted``, ``mixed`` (each action scripted or random, as a coin falls), or an agent.
        seed: of everything that is drawn.
    """
    return record_with_truth(where, steps, policy=policy, seed=seed)[0]


def record_with_truth(
    where: World, steps: int, *, policy: Any = "random", seed: int = 0
) -> tuple[Episodes, np.ndarray]:
    """:func:`record`, and what was true at each row (R, V)."""
    if steps < where.count:
        raise ValueError(f"steps must be at least {where.count}, one for each environment, got {steps}")
    rng = np.random.default_rng(seed)
    turns = -(-steps // where.count)
    sampling = _wants(policy)
    kept = Replay(where.spaces, where.count, turns + 2)
    kept.begin(where.reset(rng))
    truth = [where.truth()]
    for _ in range(turns):
        if not isinstance(policy, str):
            actions = acted(policy, watched(kept.newest(sampling.stack), where.goals), rng, where.spaces)
        elif policy == "random":
            actions = where.random(rng)
        else:
            actions = where.scripted(rng)
            if policy == "mixed":
                coin = (rng.random(where.count) < 0.5).reshape(-1, *[1] * (actions.ndim - 1))
                actions = np.where(coin, where.random(rng), actions)
        stepped = where.step(actions, rng)
        kept.add(actions, stepped.rewards, stepped.terminated, stepped.over, stepped.observations)
        truth.append(where.truth())
    found, at = episodes_of(kept, where.name)
    return found, np.stack(truth)[at]


def episodes_of(kept: Replay, env: str) -> tuple[Episodes, tuple[np.ndarray, np.ndarray]]:
    """The episodes of a replay that has not wrapped around, those cut short by its end among them; and the times and
    environments of their rows."""
    times, envs, lengths, ended = [], [], [], []
    for n in range(kept.environments):
        cuts = np.flatnonzero(kept.last[: kept.written, n]).tolist()
        start = 0
        for end in [*cuts, kept.written - 1]:
            if end > start:
                times.append(np.arange(start, end + 1))
                envs.append(np.full(end + 1 - start, n))
                lengths.append(end + 1 - start)
                ended.append(bool(kept.terminated[end - 1, n]))
            start = end + 1
    at = np.concatenate(times), np.concatenate(envs)
    found = Episodes(
        kept.observations[at], kept.actions[at], kept.rewards[at], np.array(ended), np.array(lengths), kept.spaces, env
    )
    return found, at
