"""The same seed with any number of loader workers: the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.training.forked import launch
from tests.training.kills import same_weights, uninterrupted, words


def measure(scratch: Path) -> dict[str, Any]:
    whole = uninterrupted(scratch / "whole")
    equal = []
    for workers in (1, 2, 3):
        process = launch(scratch, *words(scratch), "--workers", str(workers), "--out", str(scratch / f"run{workers}"))
        assert process.wait() == 0, process.said
        equal.append(same_weights(whole, scratch / f"run{workers}"))
    return {"numbers_of_workers": "0-3", "equal_to_the_bit": all(equal)}
