"""TS2Vec's loss, forward and backward: ours beside the released form, in turns, with the memory that each needs.

    python benchmarks/series.py
    python benchmarks/series.py --sizes 8x200 8x1000 8x3000 --repeats 3 --json benchmarks/results/series.json

Seconds are the processor's, one thread, medians of sides that take turns in one process. Megabytes are what a fresh
process needs beyond its inputs, at its peak. The released form is left out where its matrices would not fit.
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

import torch
import torch.nn.functional as F
from measuring import peak_kilobytes
from torch import Tensor

from nearfar.losses import hierarchical_contrast


def plain(z1: Tensor, z2: Tensor) -> Tensor:
    """The released form: all matrices of a scale at once, the diagonal cut out, log-softmax of what is left."""
    total, levels = z1.new_zeros(()), 0
    while z1.shape[1] > 1:
        total = total + 0.5 * _identify(torch.cat([z1, z2]).transpose(0, 1))
        total = total + 0.5 * _identify(torch.cat([z1, z2], 1))
        levels += 1
        z1, z2 = (F.max_pool1d(z.transpose(1, 2), 2).transpose(1, 2) for z in (z1, z2))
    return (total + 0.5 * _identify(torch.cat([z1, z2]).transpose(0, 1))) / (levels + 1)


def _identify(z: Tensor) -> Tensor:
    s = z @ z.transpose(1, 2)
    logits = torch.tril(s, diagonal=-1)[:, :, :-1] + torch.triu(s, diagonal=1)[:, :, 1:]
    logits = -F.log_softmax(logits, dim=-1)
    half = z.shape[1] // 2
    i = torch.arange(half)
    return (logits[:, i, half + i - 1].mean() + logits[:, half + i, i].mean()) / 2


SIDES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"released form": plain, "nearfar": hierarchical_contrast}


def inputs(size: str, width: int) -> list[Tensor]:
    batch, steps = map(int, size.split("x"))
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(batch, steps, width, generator=generator) for _ in range(2)]


def step(side: Callable[[Tensor, Tensor], Tensor], tensors: list[Tensor]) -> float:
    """Processor seconds of one forward and backward."""
    own = [tensor.requires_grad_() for tensor in tensors]
    for tensor in own:
        tensor.grad = None
    start = time.process_time()
    side(*own).backward()
    return time.process_time() - start


def probe(side: str, size: str, width: int) -> None:
    """In a fresh process: the megabytes that one step needs beyond its inputs."""
    step(SIDES[side], inputs("2x8", width))
    tensors = inputs(size, width)
    print(peak_kilobytes(lambda: step(SIDES[side], tensors)) / 1024)


def needed_by_the_released_form(size: str) -> float:
    """Megabytes, from six matrices of the finest scale that are alive at once."""
    batch, steps = map(int, size.split("x"))
    return 6 * batch * (2 * steps) ** 2 * 4 / 2**20


def measure(size: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    names = [n for n in SIDES if n == "nearfar" or needed_by_the_released_form(size) < options.megabytes]
    times: dict[str, list[float]] = {name: [] for name in names}
    tensors = inputs(size, options.width)
    for turn in range(options.repeats + 1):
        for name in names:
            seconds = step(SIDES[name], tensors)
            if turn:  # the first compiles nothing, but fills caches
                times[name].append(seconds)
    found = {}
    for name in names:
        command = [sys.executable, __file__, "--probe", name, size, "--width", str(options.width)]
        peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[name] = {"seconds": statistics.median(times[name]), "megabytes": float(peak)}
    if len(found) == 2:
        first, second = (torch.autograd.grad(SIDES[n](*tensors), tensors) for n in names)
        apart = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(first, second, strict=True))
        found["nearfar"] |= {
            "times faster": found["released form"]["seconds"] / found["nearfar"]["seconds"],
            "share of memory": found["nearfar"]["megabytes"] / found["released form"]["megabytes"],
            "largest difference of gradients": apart,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["8x200", "8x1000"], help="series x steps")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=8000, help="what a side may need")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.probe:
        probe(*options.probe, options.width)
        return
    results = {}
    for size in options.sizes:
        results[size] = measure(size, options)
        print(size, json.dumps(results[size]), flush=True)
    if options.json:
        environment = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
        options.json.write_text(json.dumps({"environment": environment, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
