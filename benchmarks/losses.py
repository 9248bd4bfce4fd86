"""Time and memory of the losses, forward and backward, beside the plain formula and lightly.

    python benchmarks/losses.py
    python benchmarks/losses.py --losses nt_xent --sizes 4096 16384 65536 --threads 2 --json losses.json

Sides take turns, so that a busy machine slows all of them, and the table gives medians. Memory is what a
fresh process needs beyond its inputs, at its peak. A side that would not fit into the free memory is left
out; a side that takes longer than ``--patience`` seconds is timed once. lightly joins in when it is
importable.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from loss_sides import WORKLOADS, Loss
from measuring import peak_kilobytes
from torch import Tensor


def step(side: Loss, tensors: list[Tensor]) -> float:
    """Seconds of one forward and backward."""
    for tensor in tensors:
        tensor.grad = None
    start = time.perf_counter()
    side(*tensors).backward()
    return time.perf_counter() - start


def probe(loss: str, side: str, size: int, width: int) -> None:
    """Run in a fresh process: print the seconds of one step and the megabytes it needs beyond its inputs."""
    work = WORKLOADS[loss]
    function = work.sides()[side]
    step(function, work.tensors(8, width))
    tensors = work.tensors(size, width)
    seconds: list[float] = []
    kilobytes = peak_kilobytes(lambda: seconds.append(step(function, tensors)))
    print(json.dumps({"seconds": seconds[0], "megabytes": kilobytes / 1024}))


def free_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(loss: str, size: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median seconds and peak megabytes of every side that fits."""
    results: dict[str, dict[str, float]] = {}
    work = WORKLOADS[loss]
    functions = work.sides()
    for name in list(functions):
        full_matrix = not name.startswith("nearfar")
        if options.ours and name != "nearfar":
            del functions[name]
            continue
        if full_matrix and work.bytes_per_entry * work.entries(size) > 0.9 * free_bytes():
            del functions[name]
            continue
        command = [sys.executable, __file__, "--probe", loss, name, str(size)]
        command += ["--width", str(options.width), "--threads", str(options.threads)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        results[name] = {**json.loads(found.splitlines()[-1]), "runs": 1}
        if results[name]["seconds"] > options.patience:
            del functions[name]
    tensors = work.tensors(size, options.width)
    times: dict[str, list[float]] = {name: [] for name in functions}
    for name, side in functions.items():
        step(side, tensors)
        times[name].clear()
    for _ in range(options.repeats):
        for name, side in functions.items():
            times[name].append(step(side, tensors))
    for name, seconds in times.items():
        results[name] |= {"seconds": statistics.median(seconds), "runs": len(seconds)}
    return results


def estimate(loss: str, size: int, options: argparse.Namespace) -> str:
    """What one step of ours will take, from one with a sixteenth of the rows: both grow as the model says."""
    work, small = WORKLOADS[loss], max(size // 16, 1)
    tensors = work.tensors(small, options.width)
    step(work.sides()["nearfar"], tensors)
    seconds = step(work.sides()["nearfar"], tensors) * work.entries(size) / work.entries(small)
    return f"{loss}, {size:,} rows: about {seconds:.0f} s a step, by a step with {small:,} rows"


def table(loss: str, size: int, results: dict[str, dict[str, float]]) -> str:
    own = results["nearfar"]
    lines = [f"{loss}, {size:,} rows in each input"]
    lines.append(f"  {'side':<20}{'seconds':>10}{'runs':>6}{'MB':>10}{'time ratio':>12}{'memory ratio':>14}")
    for name, found in results.items():
        ratios = found["seconds"] / own["seconds"], found["megabytes"] / own["megabytes"]
        lines.append(
            f"  {name:<20}{found['seconds']:>10.4f}{found['runs']:>6.0f}{found['megabytes']:>10.1f}"
            f"{ratios[0]:>12.2f}{ratios[1]:>14.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 1024, 4096], help="rows in each input")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patience", type=float, default=15.0, help="seconds; slower sides are timed once")
    parser.add_argument("--ours", action="store_true", help="nearfar at temperature 0.1 only")
    parser.add_argument("--estimate", action="store_true", help="first say how long every size will take")
    parser.add_argument("--json", type=Path, help="also write every number there")
    parser.add_argument("--probe", nargs=3, metavar=("LOSS", "SIDE", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.probe:
        loss, side, size = options.probe
        probe(loss, side, int(size), options.width)
        return
    print(f"width {options.width}, float32, {options.threads} threads, torch {torch.__version__}")
    report = []
    for loss in options.losses:
        for size in options.sizes:
            if options.estimate:
                print(estimate(loss, size, options), flush=True)
            results = measure(loss, size, options)
            print(table(loss, size, results), flush=True)
            report.append({"loss": loss, "size": size, "sides": results})
    if options.json:
        setting = {
            "width": options.width,
            "threads": options.threads,
            "torch": torch.__version__,
            "machine": platform.machine(),
        }
        options.json.write_text(json.dumps({**setting, "results": report}, indent=2) + "\n")


if __name__ == "__main__":
    main()
