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
from collections.abc import Callable
from pathlib import Path

import peers
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar import losses

TEMPERATURE = 0.1
Loss = Callable[..., Tensor]


def plain_nt_xent(a: Tensor, b: Tensor) -> Tensor:
    z = F.normalize(torch.cat((a, b)), dim=1)
    logits = z @ z.t() / TEMPERATURE
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z), device=z.device).roll(len(a)))


def plain_symmetric(a: Tensor, b: Tensor) -> Tensor:
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() / TEMPERATURE
    target = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def plain_relic(o1: Tensor, o2: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
    o1, o2, t1, t2 = (F.normalize(x, dim=1) for x in (o1, o2, t1.detach(), t2.detach()))
    target = torch.arange(len(o1), device=o1.device)
    logits = o1 @ t2.t() / TEMPERATURE, o2 @ t1.t() / TEMPERATURE
    p, r = (F.log_softmax(x, dim=1) for x in logits)
    contrastive = F.nll_loss(p, target) + F.nll_loss(r, target)
    there = F.kl_div(p, r, log_target=True, reduction="batchmean")
    return contrastive + there + F.kl_div(r, p, log_target=True, reduction="batchmean")


def sides(loss: str) -> dict[str, Loss]:
    """Every implementation of one loss, ours first."""
    if loss == "nt_xent":
        found: dict[str, Loss] = {
            "nearfar": lambda a, b: losses.nt_xent(a, b, temperature=TEMPERATURE),
            "nearfar tau=0.005": lambda a, b: losses.nt_xent(a, b, temperature=0.005),
            "plain": plain_nt_xent,
        }
        lightly = peers.lightly_nt_xent()
        if lightly is not None:
            found["lightly"] = lambda a, b: lightly(a, b, TEMPERATURE)
        return found
    if loss == "symmetric_info_nce":
        return {
            "nearfar": lambda a, b: losses.symmetric_info_nce(a, b, temperature=TEMPERATURE),
            "plain": plain_symmetric,
        }
    return {
        "nearfar": lambda *views: torch.stack(
            list(losses.relic(*views, temperature=TEMPERATURE, alpha=1.0).values())
        ).sum(),
        "plain": plain_relic,
    }


# Inputs of each loss, and the bytes a full-matrix version needs for each squared row at float32 (measured).
INPUTS = {"nt_xent": 2, "symmetric_info_nce": 2, "relic": 4}
FULL_MATRIX_BYTES = {"nt_xent": 68, "symmetric_info_nce": 18, "relic": 38}


def inputs(loss: str, size: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, width, generator=generator).requires_grad_() for _ in range(INPUTS[loss])]


def step(side: Loss, tensors: list[Tensor]) -> float:
    """Seconds of one forward and backward."""
    for tensor in tensors:
        tensor.grad = None
    start = time.perf_counter()
    side(*tensors).backward()
    return time.perf_counter() - start


def _status(key: str) -> int:
    """Kilobytes of one line of the kernel's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"{key} is not reported: memory is measured on Linux only")


def probe(loss: str, side: str, size: int, width: int) -> None:
    """Run in a fresh process: print the seconds of one step and the megabytes it needs beyond its inputs."""
    function = sides(loss)[side]
    step(function, inputs(loss, 8, width))
    tensors = inputs(loss, size, width)
    before = _status("VmRSS")
    # Writing 5 here makes the kernel forget the peak that importing reached.
    Path("/proc/self/clear_refs").write_text("5")
    seconds = step(function, tensors)
    print(json.dumps({"seconds": seconds, "megabytes": (_status("VmHWM") - before) / 1024}))


def free_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(loss: str, size: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median seconds and peak megabytes of every side that fits."""
    results: dict[str, dict[str, float]] = {}
    functions = sides(loss)
    for name in list(functions):
        full_matrix = not name.startswith("nearfar")
        if full_matrix and FULL_MATRIX_BYTES[loss] * size**2 > 0.9 * free_bytes():
            del functions[name]
            continue
        command = [sys.executable, __file__, "--probe", loss, name, str(size)]
        command += ["--width", str(options.width), "--threads", str(options.threads)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        results[name] = {**json.loads(found.splitlines()[-1]), "runs": 1}
        if results[name]["seconds"] > options.patience:
            del functions[name]
    tensors = inputs(loss, size, options.width)
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
    parser.add_argument("--losses", nargs="+", default=list(INPUTS), choices=list(INPUTS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 1024, 4096], help="rows in each input")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patience", type=float, default=15.0, help="seconds; slower sides are timed once")
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
