"""What NT-Xent costs as a function of batch and width, fitted to few runs and held against others.

    seconds = rows^2 / 2 * (a + b * D) + c * rows * D       rows = 2 * pairs, D the width, forward and backward
    bytes   = 4 * (k * rows * D + m * rows) + threads * tiles

Only the upper triangle of the rows x rows matrix is made, four products of length D for each of its tiles: that is b.
What a does with every entry (exponential, sums, weights) does not depend on D. Memory beyond the inputs is a few
copies of the embeddings and the two buffers of each thread. Four small runs determine the times, two the memory.
Seconds are the process's own CPU time on one thread, which other work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loss_sides import TEMPERATURE
from measuring import cpu_seconds
from scipy.optimize import nnls

from nearfar.losses import nt_xent
from nearfar.losses.engine.tiles import TILE

# (pairs, width)
FITTED = [(1024, 64), (1024, 256), (2048, 64), (2048, 256)]
HELD_OUT = [(1024, 128), (2048, 128), (4096, 64), (4096, 128), (2048, 512), (8192, 128)]
TILES = 2 * 4 * TILE["cpu"][0] * TILE["cpu"][1]


def step_seconds(pairs: int, width: int, repeats: int) -> float:
    """Median CPU time of one step on one thread."""
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(pairs, width, generator=generator).requires_grad_() for _ in range(2)]
    return cpu_seconds(lambda: nt_xent(*views, temperature=TEMPERATURE).backward(), repeats)


def peak_bytes(pairs: int, width: int) -> float:
    """Memory beyond the inputs at the peak of one step in a fresh process on one thread."""
    script = str(Path(__file__).with_name("losses.py"))
    command = [sys.executable, script, "--probe", "nt_xent", "nearfar", str(pairs), "--width", str(width)]
    said = subprocess.run([*command, "--threads", "1"], capture_output=True, text=True, check=True).stdout
    return float(json.loads(said.splitlines()[-1])["megabytes"]) * 2**20


def time_terms(pairs: int, width: int) -> list[float]:
    rows = 2 * pairs
    return [rows**2 / 2, rows**2 / 2 * width, rows * width]


def memory_terms(pairs: int, width: int) -> list[float]:
    return [4 * 2 * pairs * width, 4 * 2 * pairs]


def main() -> None:
    """Print the model and how far it is off, and write both where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    points = [*FITTED, *HELD_OUT]
    seconds = {point: step_seconds(*point, options.repeats) for point in points}
    memory = {point: peak_bytes(*point) for point in points}
    # Relative errors are fitted, so that the small runs count as much as the large ones.
    known = np.array([seconds[p] for p in FITTED])
    times, _ = nnls(np.array([time_terms(*p) for p in FITTED]) / known[:, None], np.ones(len(known)))
    known = np.array([memory[p] - TILES for p in FITTED])
    copies, _ = nnls(np.array([memory_terms(*p) for p in FITTED]) / known[:, None], np.ones(len(known)))
    print(f"seconds = rows^2/2 * ({times[0] * 1e9:.3f} + {times[1] * 1e9:.5f} D) ns + {times[2] * 1e9:.2f} ns rows D")
    print(f"bytes   = 4 * ({copies[0]:.2f} rows D + {copies[1]:.1f} rows) + {TILES / 2**20:.1f} MB for each thread")
    print(f"{'pairs':>8}{'width':>7}{'CPU s':>9}{'model':>9}{'ratio':>7}{'MB':>9}{'model':>9}{'ratio':>7}")
    rows: list[dict[str, Any]] = []
    for point in points:
        expected = float(np.dot(time_terms(*point), times))
        expected_bytes = float(np.dot(memory_terms(*point), copies)) + TILES
        fitted = point in FITTED
        rows.append(
            {"pairs": point[0], "width": point[1], "fitted": fitted, "seconds": seconds[point], "bytes": memory[point]}
            | {"model_seconds": expected, "model_bytes": expected_bytes}
        )
        ratios = seconds[point] / expected, memory[point] / expected_bytes
        print(
            f"{point[0]:>8}{point[1]:>7}{seconds[point]:>9.3f}{expected:>9.3f}{ratios[0]:>7.2f}"
            f"{memory[point] / 2**20:>9.1f}{expected_bytes / 2**20:>9.1f}{ratios[1]:>7.2f}"
            f"{'  fitted' if fitted else ''}"
        )
    if options.json:
        setting = {"machine": platform.machine(), "torch": torch.__version__, "time": list(times)}
        setting |= {"memory": list(copies), "tile_bytes": TILES}
        options.json.write_text(json.dumps({**setting, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
