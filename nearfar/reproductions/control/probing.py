"""What reproductions of pixel agents share: encoders trained from the same episodes, and what can be read from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nearfar.control.data import Recorded, record_with_truth
from nearfar.control.worlds import world
from nearfar.evaluation import linear_regression_probe
from nearfar.reproductions.arms import build
from nearfar.training import Training, fit


def episodes(name: str, steps: int, seed: int) -> tuple[Recorded, np.ndarray]:
    """Episodes of a policy that is half random, as a source, and what is true of their rows."""
    found, truth = record_with_truth(world(name, 8), steps, policy="mixed", seed=seed)
    return Recorded(found, name=f"{name} recorded"), truth


def read(agent: Any, name: str, *, labels: int = 300, dark: int | None = None) -> dict[str, float]:
    """R2 of a ridge probe for the state from ``labels`` stacks, on 1,000 stacks of other episodes; also of those with a
    background that no training picture had."""
    parts = []
    for seed, count, grey in ((71, labels, None), (72, 1000, None), (72, 1000, dark)):
        where = world(name, 8)
        if grey is not None:
            where.dark[:] = grey  # type: ignore[attr-defined]
        found, truth = record_with_truth(where, 3 * count, policy="mixed", seed=seed)
        replay = found.replay()
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(replay.age[:, 0] > 2))[:count]
        stacks = torch.from_numpy(replay.seen(rows, np.zeros(len(rows), np.int64), agent.sampling.stack))
        with agent.frozen():
            codes = torch.cat([agent.encode(piece) for piece in stacks.split(256)])
        parts.append((codes.numpy(), truth[rows]))
    (x, y), (near, near_y), (far, far_y) = parts
    scores = {"R2": linear_regression_probe(x, y, near, near_y).r2}
    if dark is not None:
        scores["R2 on another background"] = linear_regression_probe(x, y, far, far_y).r2
    return scores


def agent_read(
    slug: str, source: Recorded, seed: int, *, steps: int, name: str, dark: int | None = None, **changes: Any
) -> dict[str, float]:
    """Train from episodes, freeze, and read."""
    agent = build(slug, source, seed, **changes)  # type: ignore[arg-type]
    if steps:
        fit(agent, source, Training(steps=steps, batch_size=64, seed=seed), progress=False)
    return read(agent, name, dark=dark)
