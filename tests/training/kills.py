"""Chains of kills and resumes, held against the run that nothing interrupted. Shared by the test and the soak."""

from __future__ import annotations

import random
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from tests.ranks import free_port
from tests.training.forked import PLACES, Kill, Launched, launch

STEPS, EVERY = 40, 3
# How often a place is met in the whole run, at least.
MET = {
    "step": STEPS,
    "backward": STEPS,
    "torn write": 2 * (STEPS // EVERY),
    "before rename": 2 * (STEPS // EVERY),
    "after rename": 2 * (STEPS // EVERY),
    "monitor": STEPS // 8,
    "epoch": STEPS // 10 - 1,
}


def words(folder: Path, *, steps: int = STEPS, every: int = EVERY) -> tuple[str, ...]:
    """A small run over four epochs of 320 pictures, which are written to ``folder``."""
    pictures = folder / "pictures.npz"
    if not pictures.exists():
        rng = np.random.default_rng(0)
        labels = np.arange(320) % 4
        noise = rng.integers(0, 60, (320, 16, 16, 3))
        np.savez(pictures, images=(noise + 45 * labels[:, None, None, None]).astype(np.uint8), labels=labels)
    return (
        *("train", "simclr", "--data", str(pictures), "--preset", "laptop", "--seed", "5", "--steps", str(steps)),
        *("--batch-size", "32", "--checkpoint-every", str(every), "--log-every", "1", "--monitor-every", "8"),
        *("--projection-hidden", "32"),
    )


def same_weights(first: Path, second: Path) -> bool:
    """Whether two runs ended with the same encoder and the same metrics, bit for bit."""
    a, b = load_file(first / "encoder.safetensors"), load_file(second / "encoder.safetensors")
    equal = a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    return equal and (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()


@dataclass
class Killed:
    """What one kill cost."""

    where: str
    at_step: int
    lost: int


def begin_again(scratch: Path, run: Path, kill: Kill | None = None) -> Launched:
    """Resume a run where there is one, start it where the last process died before it began."""
    scratch.mkdir(parents=True, exist_ok=True)
    if (run / "config.yaml").exists():
        return launch(scratch, "resume", str(run), kill=kill)
    return launch(scratch, *words(scratch), "--out", str(run), kill=kill)


def chain(scratch: Path, kills: list[Kill | float]) -> tuple[Path, list[Killed]]:
    """A run killed at every one of ``kills`` (a place, or seconds after its first step) and resumed to its end."""
    run = scratch / "run"
    found: list[Killed] = []
    before = 0
    for number, kill in enumerate([*kills, None]):
        process = begin_again(scratch, run, kill if isinstance(kill, Kill) else None)
        if isinstance(kill, float):
            process.wait_for(lambda process=process: bool(process.steps))  # type: ignore[misc]
            process.process.join(kill)
            process.send(signal.SIGKILL)
        code = process.wait()
        assert code in (0, -signal.SIGKILL), f"exit code {code} at kill {number}: {process.said}"
        if number > 0 and process.steps:
            # The first step that it did shows from where it went on.
            found[-1].lost = before - (process.steps[0] - 1)
        if code == 0:
            break
        before = max([before, *process.steps])
        found.append(Killed(kill.place if isinstance(kill, Kill) else "any moment", before, 0))
        if (run / "encoder.safetensors").exists():
            break  # killed after its last write
    assert (run / "encoder.safetensors").exists(), f"no encoder after {found}: {process.said}"
    return run, found


def drawn(count: int, seed: int, share: float = 0.5) -> list[Kill | float]:
    """``count`` kills, a share of them by the clock and the others at places, all drawn from ``seed``."""
    chance = random.Random(seed)
    kills: list[Kill | float] = []
    for number in range(count):
        if chance.random() < share:
            kills.append(chance.random() * 0.8)
        else:
            place = PLACES[number % len(PLACES)]
            kills.append(Kill(place, chance.randint(1, max(MET[place] // 4, 1))))
    return kills


def uninterrupted(scratch: Path) -> Path:
    """The run that nothing interrupted."""
    process = begin_again(scratch, scratch / "run")
    assert process.wait() == 0, process.said
    return scratch / "run"


def kill_runs(scratch: Path, whole: Path, count: int, *, seed: int, per_run: int = 4) -> dict[str, Any]:
    """Kill ``count`` times in all; how many runs ended equal to ``whole``, and what the worst kill cost."""
    kills = drawn(4 * count + 8, seed)  # on a fast machine many find the run already over
    found: list[Killed] = []
    equal = runs = 0
    while len(found) < count and kills:
        now, kills = kills[:per_run], kills[per_run:]
        folder = scratch / f"chain{runs}"
        run, killed = chain(folder, now[: count - len(found)])
        runs += 1
        equal += same_weights(whole, run)
        found += killed
        shutil.rmtree(folder)
    return {
        "kills": len(found),
        "runs": runs,
        "runs_equal_to_the_bit": equal,
        "checkpoint_interval": EVERY,
        "most_steps_lost": max(k.lost for k in found),
        "places": {p: sum(k.where == p for k in found) for p in dict.fromkeys(k.where for k in found)},
    }


def on_two_ranks(scratch: Path, *words: str, kill: Kill | None = None, **options: Any) -> list[Launched]:
    """The same command as two processes that train together; ``kill`` is for the second."""
    port = str(free_port())
    found = []
    for rank in range(2):
        places = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        places |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        found.append(
            launch(scratch / str(rank), *words, environment=places, kill=kill if rank == 1 else None, **options)
        )
    return found
