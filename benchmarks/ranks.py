"""A loss on several ranks, its work shared among them and not: ``python benchmarks/ranks.py [--json FILE]``.

Real processes that talk over gloo. Every rank holds its part of the batch, gathers, computes the loss of the
global batch and goes back to its own embeddings: what a training step does around its encoder. The two ways take
turns. A round trip of a message of 16 bytes is timed too, since every step sends a few.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from measuring import free_port
from torch import Tensor

from nearfar import losses
from nearfar.common.distributed import shared_losses
from nearfar.training import gather

LOSSES: dict[str, Callable[..., Tensor]] = {
    "nt_xent": lambda a, b: losses.nt_xent(a, b, temperature=0.1),
    "nt_xent tau=0.005": lambda a, b: losses.nt_xent(a, b, temperature=0.005),
    "symmetric_info_nce": lambda a, b: losses.symmetric_info_nce(a, b, temperature=0.1),
    "sigmoid_pair_loss": lambda a, b: losses.sigmoid_pair_loss(a, b, temperature=0.1, bias=-10.0),
}


def step(loss: Callable[..., Tensor], views: list[Tensor], shared: bool) -> float:
    """Seconds of gathering, loss and backward."""
    dist.barrier()
    start = time.perf_counter()
    with shared_losses() if shared else nullcontext():
        loss(*gather(*views)).backward()
    return time.perf_counter() - start


def message(rounds: int = 50) -> float:
    """Median seconds of one sum of two numbers over the ranks."""
    numbers, times = torch.zeros(2, dtype=torch.int64), []
    for _ in range(rounds):
        start = time.perf_counter()
        dist.all_reduce(numbers)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def worker(rank: int, options: argparse.Namespace, port: int, out: str) -> None:
    """Measure on one rank; rank 0 writes what it saw."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=options.world)
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        generator = torch.Generator().manual_seed(rank)
        shape = size // options.world, options.width
        views = [torch.randn(shape, generator=generator).requires_grad_() for _ in range(2)]
        for name, loss in LOSSES.items():
            times: dict[bool, list[float]] = {False: [], True: []}
            for turn in range(options.repeats + 1):
                for shared, found in times.items():
                    seconds = step(loss, views, shared)
                    if turn:
                        found.append(seconds)
            ratios = [alone / together for alone, together in zip(times[False], times[True], strict=True)]
            row = {"loss": name, "size": size, "ratio": statistics.median(ratios)}
            row |= {"alone": statistics.median(times[False]), "shared": statistics.median(times[True])}
            rows.append(row)
            if rank == 0:
                print(f"{name:<20}{size:>8}{row['alone']:>10.4f}{row['shared']:>10.4f}{row['ratio']:>8.2f}", flush=True)
    round_trip = message()
    if rank == 0:
        print(f"one message of 16 bytes: {round_trip * 1e3:.2f} ms")
        setting = {"world": options.world, "width": options.width, "torch": torch.__version__}
        setting |= {"machine": platform.machine(), "cores": os.cpu_count(), "message_seconds": round_trip}
        Path(out).write_text(json.dumps({**setting, "rows": rows}, indent=2) + "\n")
    dist.destroy_process_group()


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1024, 2048, 4096], help="pairs over all ranks")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    print(f"{options.world} ranks of one thread, width {options.width}, float32, forward and backward")
    print(f"{'loss':<20}{'pairs':>8}{'alone s':>10}{'shared s':>10}{'ratio':>8}")
    mp.spawn(worker, (options, free_port(), str(options.json or os.devnull)), nprocs=options.world)


if __name__ == "__main__":
    main()
