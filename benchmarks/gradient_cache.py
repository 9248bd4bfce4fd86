"""A large batch in the memory of a small one, and what it costs: ``python benchmarks/gradient_cache.py [--json FILE]``.

SimCLR's gradient (encoder with group norm, projection head, NT-Xent) of one batch in one pass and in chunks. Each runs
in a process of its own, so that its peak of resident memory is its own; the views and the library, which every run
holds, are given beside it. Seconds are the processor's, the median of ``--rounds`` gradients after a first one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

CASES = ((256, 0), (1024, 0), (1024, 256), (8192, 256))


def alone(encoder: str, batch: int, chunk: int, size: int, rounds: int, threads: int) -> None:
    """One case; prints what it took."""
    import torch

    from nearfar.training.gradient_cache import in_chunks
    from nearfar.vision.methods.simclr import SimCLR

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    method = SimCLR(encoder, projection_hidden=128, projection_dim=64)
    views = tuple(torch.rand(batch, 3, size, size) for _ in range(2))
    # A first gradient of few examples loads what is loaded once.
    method.loss(tuple(view[:8] for view in views)).backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    with in_chunks(method, chunk):
        for _ in range(rounds):
            method.zero_grad()
            start = time.process_time()
            method.loss(views).backward()
            seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = {"megabytes": (peak - before) / 1024, "megabytes_before": before / 1024}
    print(json.dumps({"seconds": statistics.median(seconds), **megabytes}))


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--encoder", default="small-conv-gn")
    parser.add_argument("--size", type=int, default=32, help="side of the images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--alone", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        alone(given.encoder, *given.alone, given.size, given.rounds, given.threads)
        return
    rows = []
    print(f"{given.encoder}, {given.size} pixels, {given.threads} threads")
    print("batch  chunk  cpu ms per image  MB beside what was there before")
    for batch, chunk in CASES:
        words = [sys.executable, __file__, "--alone", str(batch), str(chunk), "--encoder", given.encoder]
        words += ["--size", str(given.size), "--rounds", str(given.rounds), "--threads", str(given.threads)]
        result = subprocess.run(words, check=True, stdout=subprocess.PIPE)
        row = {"batch": batch, "chunk": chunk, **json.loads(result.stdout)}
        row["milliseconds_per_image"] = 1000 * row["seconds"] / batch
        rows.append(row)
        print(f"{batch:>5} {chunk:>6} {row['milliseconds_per_image']:>17.3f} {row['megabytes']:>8.0f}", flush=True)
    plain, cached = rows[1], rows[2]
    ratio = cached["seconds"] / plain["seconds"]
    print(f"chunks take {ratio:.2f} times the time of one pass")
    if given.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "threads": given.threads}
        settings = {"encoder": given.encoder, "size": given.size}
        given.json.write_text(json.dumps({**machine, **settings, "time_ratio": ratio, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
