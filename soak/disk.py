"""A real file system of two megabytes that fills up, and one that turns read-only, where mounting is permitted."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from nearfar.training import latest_checkpoint
from tests.training.forked import launch
from tests.training.kills import begin_again, same_weights, uninterrupted, words


def measure(scratch: Path) -> dict[str, Any]:
    whole = uninterrupted(scratch / "whole")
    disk = scratch / "disk"
    disk.mkdir()
    size = sum(p.stat().st_size for p in whole.rglob("*") if p.is_file())
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * size}", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        return {"full": "not permitted here", "read_only": "not permitted here"}
    found: dict[str, Any] = {}
    try:
        run = disk / "run"
        ballast = disk / "ballast"
        process = launch(scratch / "a", *words(scratch), "--out", str(run))
        process.wait_for(lambda: latest_checkpoint(run / "checkpoints") is not None)
        try:
            with open(ballast, "wb") as file:
                while True:
                    file.write(b"x" * 4096)
                    file.flush()
        except OSError:
            pass
        found["full"] = _ended(process.wait(), process.said, run)
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        process = begin_again(scratch / "b", run)
        found["read_only"] = _ended(process.wait(), process.said, run)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        process = begin_again(scratch / "c", run)
        code = process.wait()
        found["equal_to_the_bit_afterwards"] = code in (0, 2) and same_weights(whole, run)
        right = {"full": 74, "read_only": 2}
        found["disks"] = len(right)
        found["kept_promises"] = sum(
            found[name] == f"exit code {code} with one sentence; last checkpoint valid" for name, code in right.items()
        )
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
    return found


def _ended(code: int, said: str, run: Path) -> str:
    one = "Traceback" not in said and any(
        "could not be saved" in line or "cannot be written" in line for line in said.splitlines()
    )
    sentence = "one sentence" if one else "no sentence"
    valid = "last checkpoint valid" if latest_checkpoint(run / "checkpoints") else "no checkpoint"
    return f"exit code {code} with {sentence}; {valid}"
