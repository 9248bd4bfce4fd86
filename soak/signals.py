"""Ctrl-C, SIGTERM and SIGUSR1 at random moments: exit code, no step lost, the same bits in the end."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path
from typing import Any

from tests.training.forked import launch
from tests.training.kills import STEPS, begin_again, same_weights, uninterrupted, words

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 75}


def measure(scratch: Path) -> dict[str, Any]:
    whole = uninterrupted(scratch / "whole")
    chance = random.Random(7)
    sent = right = equal = lost = 0
    for number in range(18):
        kind = list(CODES)[number % 3]
        folder = scratch / f"signal{number}"
        folder.mkdir()
        process = launch(folder, *words(folder, every=STEPS), "--out", str(folder / "run"))
        wanted = chance.randint(1, STEPS - 8)
        process.wait_for(lambda process=process, wanted=wanted: len(process.steps) >= wanted)
        process.process.join(chance.random() * 0.02)
        process.send(kind)
        code = process.wait()
        if code == 0:
            continue  # the signal met a run that was over
        sent += 1
        right += code == CODES[kind]
        again = begin_again(folder, folder / "run")
        assert again.wait() == 0, again.said
        lost = max(lost, len(process.steps) - (again.steps[0] - 1))
        equal += same_weights(whole, folder / "run")
        shutil.rmtree(folder)
    return {"signals": sent, "right_exit_code": right, "equal_to_the_bit": equal, "most_steps_lost": lost}
