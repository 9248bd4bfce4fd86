"""Processes that train together: they make the run of one, and when one is killed the others end and all resume."""

from __future__ import annotations

import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from tests.training.forked import Kill
from tests.training.kills import EVERY, on_two_ranks, same_weights, words
from tests.training.same_run import CASES, EXACT, ROUNDED, apart, on_processes

STEPS = 12
SAME_STEPS, SAME_BATCH, LIMIT = 20, 12, 1e-3


def measure(scratch: Path) -> dict[str, Any]:
    return {**_kills(scratch), **_same_runs(scratch)}


def _same_runs(scratch: Path) -> dict[str, Any]:
    """How far 2 and 3 processes end from one, in float32 and in float64, and how far one rounding leads one process."""
    exact, rounded = [n + EXACT for n in CASES], [n + ROUNDED for n in CASES]
    settings = {"steps": SAME_STEPS, "batch": SAME_BATCH}
    runs = {n: on_processes(n, scratch / f"{n}.pt", [*CASES, *exact], **settings) for n in (1, 2, 3)}
    changed = on_processes(1, scratch / "rounded.pt", rounded, **settings)
    found: dict[str, Any] = {}
    for name in CASES:
        distance, first = (max(v) for v in zip(*(apart(runs[1][name], runs[n][name]) for n in (2, 3)), strict=True))
        wide = max(apart(runs[1][name + EXACT], runs[n][name + EXACT])[0] for n in (2, 3))
        own = apart(runs[1][name], changed[name + ROUNDED])[0]
        figures = {"distance": distance, "first_loss": first, "in_float64": wide, "one_rounding": own}
        found[re.sub(r"\W+", "_", name)] = {key: f"{value:.1e}" for key, value in figures.items()}
    worst = {key: max(float(each[key]) for each in found.values()) for key in ("first_loss", "in_float64")}
    within = sum(float(each["distance"]) <= LIMIT for each in found.values())
    return {"runs": found, "cases": len(found), "within_limit": within, **{f"most_{k}": v for k, v in worst.items()}}


def _kills(scratch: Path) -> dict[str, Any]:
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
