"""A real limit on memory: a batch that does not fit gets a sentence, and the batch it names fits."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Any

from tests.training.forked import launch

ROOM = 1500 * 2**20
COMMAND = ("train", "simclr", "--size", "32", "--encoder", "resnet18-cifar", "--steps", "1", "--monitor-every", "-1")


def small_machine() -> None:
    """1.5 GiB beyond what the process already has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def measure(scratch: Path) -> dict[str, Any]:
    words = (*COMMAND, "--batch-size", "512", "--out", str(scratch / "too-large"))
    process = launch(scratch, *words, prepare=small_machine)
    code = process.wait(400)
    match = re.search(r"batch_size 512 does not fit .*: (\d+) would", process.said)
    if match is None:
        return {"asked": 512, "exit_code": code, "said": process.said[-300:]}
    words = (*COMMAND, "--batch-size", match[1], "--out", str(scratch / "named"))
    again = launch(scratch, *words, prepare=small_machine)
    return {"asked": 512, "exit_code": code, "named": int(match[1]), "named_fits": again.wait(400) == 0}
