"""What the skills of an agent do, and how far they can be told apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.control.data.acting import acted, watched
from nearfar.control.spaces import one_hot


def walk_skills(agent: Any, where: Any, seed: int) -> np.ndarray:
    """What is observed (T, N, D) while environment i follows skill i modulo their number, all from one beginning."""
    rng = np.random.default_rng(seed)
    sampling = agent.sampling
    told = one_hot(np.arange(where.count) % sampling.skills, sampling.skills)
    where.reset(rng)
    state = where.state_dict()
    for name in where.parts:  # one beginning for all
        axis = state[name].shape.index(where.count)
        state[name] = np.broadcast_to(state[name].take([0], axis), state[name].shape)
    where.load_state_dict({name: np.array(value) for name, value in state.items()})
    seen = [where.observe()]
    for _ in range(min(sampling.skill_steps, where.limit - 1)):
        actions = acted(agent, watched(seen[-1], told), rng, where.spaces)
        seen.append(where.step(actions, rng).observations)
    return np.stack(seen)
