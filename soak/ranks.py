"""Two processes that train together, one of them killed: the other ends, and both resume to the same bits."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from tests.training.forked import Kill
from tests.training.kills import EVERY, on_two_ranks, same_weights, words

STEPS = 12


def measure(scratch: Path) -> dict[str, Any]:
    command = words(scratch, steps=STEPS, every=EVERY)
    whole = scratch / "whole"
    for process in on_two_ranks(scratch / "a", *command, "--out", str(whole)):
        assert process.wait() == 0, process.said
    chance = random.Random(3)
    kills = equal = 0
    slowest = 0.0
    for number in range(8):
        folder = scratch / f"kill{number}"
        run = folder / "run"
        place = Kill(("step", "backward")[number % 2], chance.randint(1, STEPS - 1))
        survivor, killed = on_two_ranks(folder / "a", *command, "--out", str(run), kill=place)
        assert killed.wait() == -signal.SIGKILL, killed.said
        begun = time.perf_counter()
        assert survivor.wait(90) != 0, survivor.said
        slowest = max(slowest, time.perf_counter() - begun)
        kills += 1
        for process in on_two_ranks(folder / "b", "resume", str(run)):
            assert process.wait() == 0, process.said
        equal += same_weights(whole, run)
        shutil.rmtree(folder)
    return {"kills": kills, "equal_to_the_bit": equal, "survivor_ended_within_seconds": round(slowest, 1)}
