"""How long a person waits before a command says anything: ``python benchmarks/startup.py [--json FILE]``.

Every command runs in a fresh process, in turns with ``python -c "import torch"``, and so does an empty Python, whose
share of each figure nobody can change. ``nearfar train`` is timed to its first line, to the line that says what it
learns from, and to the one that says how long it will take, on 64 small pictures. Times are those of the wall and,
because other work on the machine stretches those, of the processor as the operating system counted it for the
process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

COMMANDS: dict[str, list[str]] = {
    "import torch": ["-c", "import torch"],
    "python": ["-c", "pass"],
    "import nearfar": ["-c", "import nearfar"],
    "nearfar --help": ["-m", "nearfar", "--help"],
    "nearfar list": ["-m", "nearfar", "list"],
    "nearfar show simclr": ["-m", "nearfar", "show", "simclr"],
}
SAID = {
    "nearfar train, its first line": "loading",
    "nearfar train, the data": "learns from",
    "nearfar train, how long it takes": "steps (",
}
"""The words of a line to which ``nearfar train relic --data photos`` is timed."""
TARGET = 0.2
"""Of the time of ``import torch``."""


def run(words: list[str]) -> tuple[float, float]:
    """Seconds of the wall and of the processor that a fresh Python takes."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def until(photos: Path, out: Path) -> dict[str, tuple[float, float]]:
    """Seconds of the wall and of the processor to each of the lines of :data:`SAID`; the run is stopped after them."""
    start, found = time.perf_counter(), {}
    words = ["train", "relic", "--data", str(photos), "--batch-size", "8", "--monitor-every", "-1", "--out", str(out)]
    with subprocess.Popen([sys.executable, "-m", "nearfar", *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            for name, part in SAID.items():
                if part in line and name not in found:
                    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                    ticks = os.sysconf("SC_CLK_TCK")
                    found[name] = (time.perf_counter() - start, (int(fields[11]) + int(fields[12])) / ticks)
            if len(found) == len(SAID):
                process.kill()
    return found


def pictures(folder: Path) -> Path:
    """64 pictures of noise as files."""
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (64, 48, 64, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number:02d}.jpg")
    return folder


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--rounds", type=int, default=9, help="turns of every command")
    arguments = parser.parse_args()
    for words in COMMANDS.values():
        run(words)  # compiled modules and the disk's cache
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in [*COMMANDS, *SAID]}
    for _ in range(arguments.rounds):
        for name, words in COMMANDS.items():
            found[name].append(run(words))
        with tempfile.TemporaryDirectory() as folder:
            told = until(pictures(Path(folder) / "photos"), Path(folder) / "run")
        for name, times in told.items():
            found[name].append(times)
    rows = []
    print(f"{'':<34} wall s  of torch   cpu s  of torch   (target {TARGET})")
    for name, times in found.items():
        row: dict[str, object] = {"command": name}
        for kind, which in (("wall", 0), ("cpu", 1)):
            pairs = list(zip(times, found["import torch"], strict=True))
            row[f"{kind}_seconds"] = statistics.median(own[which] for own, _ in pairs)
            row[f"{kind}_of_torch"] = statistics.median(own[which] / torch[which] for own, torch in pairs)
        rows.append(row)
        print(
            f"{name:<34} {row['wall_seconds']:>6.3f} {row['wall_of_torch']:>9.3f} "
            f"{row['cpu_seconds']:>7.3f} {row['cpu_of_torch']:>9.3f}"
        )
    if arguments.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        arguments.json.write_text(json.dumps({**machine, "target": TARGET, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
