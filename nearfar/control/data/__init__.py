"""Where an agent's experience comes from: worlds to act in, and recorded episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nearfar.control.data.acting import Acting, Observed, acted, record, record_with_truth, watched
from nearfar.control.data.branchings import Branchings, DecisionBatch, holds_branchings, read_branchings
from nearfar.control.data.episodes import Episodes, Recorded, read_episodes
from nearfar.control.data.frames import FramePairs, Frames
from nearfar.control.data.replay import Replay, Sampling, Sequences, Transitions
from nearfar.control.data.tasks import TaskBatch, TaskWalks
from nearfar.control.worlds import WORLDS, world
from nearfar.sources.data import Data
from nearfar.sources.interaction import Interaction
from nearfar.sources.opening import as_path

__all__ = [
    "EMBEDDED",
    "Acting",
    "Branchings",
    "DecisionBatch",
    "Episodes",
    "FramePairs",
    "Frames",
    "Observed",
    "Recorded",
    "Replay",
    "Sampling",
    "Sequences",
    "TaskBatch",
    "TaskWalks",
    "Transitions",
    "acted",
    "load",
    "read_episodes",
    "record",
    "record_with_truth",
    "watched",
]

EPISODES, FRAMES = "-episodes", "-frames"
MOST_BRANCHINGS = 100
SCRIPTED = tuple(name for name in WORLDS if name not in ("pixel-grid",))
EMBEDDED = {name: what for name, (_, what) in WORLDS.items()} | {
    f"{name}{EPISODES}": f"20,000 steps of a noisy hand-written policy in {name}, recorded" for name in SCRIPTED
}
for _name in ("pixel-cartpole", "pixel-pendulum"):
    EMBEDDED[f"{_name}{FRAMES}"] = f"frames of {_name} with what is true of them, recorded half at random"
EMBEDDED["hidden-goals"] = "random walks in grids, each towards a hidden goal that rewards tell"
EMBEDDED["set-cover"] = "decisions of strong branching in random set-cover problems, made by SCIP"
EMBEDDED["pixel-grid-episodes"] = "20,000 random steps in pixel-grid, recorded"


def load(
    data: str | Path | Interaction | Data | None = None,
    *,
    env: str | None = None,
    envs: int = 8,
    acts: int = 1,
    random_steps: int = 2000,
    capacity: int = 100_000,
    recorded: int = 20_000,
) -> Any:
    """A world to act in, or episodes to learn from.

    Args:
        data: an ``.npz`` file of recorded episodes (``nearfar data record`` writes them), which is learned from without
            acting, or of decisions in branch and bound (``nearfar data branchings``); or an embedded name,
            ``point-maze`` when nothing is given. Names that end in ``-frames`` are pictures for methods that learn
            representations, and with ``env`` those of any world of pixels.
        env: the world: one of ours, or any id of gymnasium's. With a file, the world to evaluate in.
        envs: environments side by side.
        acts: steps of every environment for each batch.
        random_steps: random steps before the first batch, of all environments together.
        capacity: steps that the replay holds.
        recorded: steps that are made when an embedded name ends in ``-episodes`` or ``-frames``, and decisions in
            ``set-cover``, there at most 100.
    """
    if isinstance(data, Interaction | Data):
        return data
    name = str(as_path(data, "worlds and episodes", WORLDS)) if data is not None else "point-maze"
    if name.endswith(EPISODES) and not Path(name).exists():
        source = env or name.removesuffix(EPISODES)
        where = world(source, max(min(envs, recorded // 100), 1))
        policy = "scripted" if source in SCRIPTED else "random"
        return Recorded(record(where, recorded, policy=policy), name=f"{source}{EPISODES}", env=source)
    if name == "hidden-goals":
        return TaskWalks(held_out=TaskWalks(500, seed=1))
    if name == "set-cover":
        from nearfar.control.solver import set_cover_branchings

        return set_cover_branchings(min(recorded, MOST_BRANCHINGS))
    if name.endswith(FRAMES) and not Path(name).exists():
        return frames(env or name.removesuffix(FRAMES), recorded)
    if data is None or name in WORLDS:
        return Acting(env or name, envs=envs, acts=acts, random_steps=random_steps, capacity=capacity)
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path}, and nothing embedded of that name; embedded are {', '.join(WORLDS)}, each also "
            f"with {EPISODES} behind it, and --env takes any id of gymnasium's"
        )
    if path.suffix != ".npz":
        raise ValueError(f"{path} holds no episodes that this reads; accepted is .npz, see nearfar data record --help")
    if holds_branchings(path):
        return read_branchings(path)
    return Recorded(read_episodes(path), name=path.stem, env=env)


def frames(env: str, steps: int) -> Frames:
    """Frames of a world, acted in half at random where it has a scripted policy, and others that are held out."""
    policy = "mixed" if env in SCRIPTED else "random"

    def made(count: int, seed: int, held_out: Frames | None) -> Frames:
        where = world(env, 4)
        found, truth = record_with_truth(where, max(count, 40), policy=policy, seed=seed)
        return Frames(found, states=truth, names=where.truths, name=f"{env}{FRAMES}", held_out=held_out)

    return made(steps, 0, made(steps // 4, 1, None))
