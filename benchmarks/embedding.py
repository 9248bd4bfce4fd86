"""Searching, probing and writing many embeddings: ``python benchmarks/embedding.py [--rows N] [--json FILE]``.

Each piece of work runs in a process of its own, so that its peak of memory is its own: exact search (kNN) beside
faiss's flat index, the linear probe beside scikit-learn's logistic regression as it stands (one strength, the same
standardised rows), and embedding into a folder, whose peak must not grow with the number of examples. Sizes double, so
that growth is measured and not supposed; ``--rows 1000000`` is the full size. Seconds are the processor's, of this
process, on ``--threads`` threads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WIDTH, CLASSES, QUERIES, NEIGHBOURS = 512, 10, 2000, 20


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap, made in place."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    x = rng.standard_normal((count, WIDTH), dtype=np.float32)
    x[np.arange(count), labels] += 1.5
    return x, labels


def search(count: int) -> Callable[[], object]:
    from nearfar.evaluation import nearest_neighbours

    bank, queries = rows(count)[0], rows(QUERIES, 1)[0]
    return lambda: nearest_neighbours(queries, bank, NEIGHBOURS, index="exact")


def search_faiss(count: int) -> Callable[[], object]:
    import faiss

    bank, queries = rows(count)[0], rows(QUERIES, 1)[0]
    faiss.normalize_L2(bank)
    faiss.normalize_L2(queries)

    def work() -> object:
        flat = faiss.IndexFlatIP(WIDTH)
        flat.add(bank)
        return flat.search(queries, NEIGHBOURS)

    return work


def probe(count: int) -> Callable[[], object]:
    from nearfar.evaluation import LinearProbe

    x, y = rows(count)
    return lambda: LinearProbe(C_grid=[0.01]).fit(x, y)


def probe_sklearn(count: int) -> Callable[[], object]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, y = rows(count)
    return lambda: LogisticRegression(C=0.01, tol=1e-6, max_iter=1000).fit(StandardScaler().fit_transform(x), y)


def folder(count: int) -> Callable[[], object]:
    import torch
    from torch import nn

    from nearfar.training import Data, Method
    from nearfar.training.embed import embed_to

    class Noise(Data):
        def __len__(self) -> int:
            return count

        def batch(self, indices: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.random.default_rng(indices[0]).standard_normal((len(indices), 64), np.float32))

    class Linear(Method):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(64, WIDTH)

    def work() -> object:
        with tempfile.TemporaryDirectory() as place:
            return embed_to(Linear(), Noise(), Path(place) / "vectors", per_file=16384)

    return work


WORK: dict[str, Callable[[int], Callable[[], object]]] = {
    "search": search,
    "search, faiss": search_faiss,
    "probe": probe,
    "probe, scikit-learn": probe_sklearn,
    "folder": folder,
}


def alone(name: str, count: int) -> None:
    """Run one piece of work and print what it took."""
    work = WORK[name](count)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    work()
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "gigabytes": peak / 2**20, "gigabytes_before": before / 2**20}))


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--rows", type=int, default=200_000, help="the largest size; a quarter and a half come first")
    parser.add_argument("--whole", action="store_true", help="the largest size only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=list(WORK), nargs="*", default=list(WORK))
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        alone(given.alone, given.rows)
        return
    threads = {f"{name}_NUM_THREADS": str(given.threads) for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    found = []
    print(f"width {WIDTH}, {QUERIES} queries, {NEIGHBOURS} neighbours, {CLASSES} classes, {given.threads} threads")
    print(f"{'':<20} {'rows':>9} {'cpu s':>8} {'peak GB':>8} {'before':>7}")
    for name in given.only:
        for count in (given.rows,) if given.whole else (given.rows // 4, given.rows // 2, given.rows):
            words = [sys.executable, __file__, "--alone", name, "--rows", str(count)]
            result = subprocess.run(words, check=True, stdout=subprocess.PIPE, env={**os.environ, **threads})
            row = {"work": name, "rows": count, **json.loads(result.stdout)}
            found.append(row)
            print(
                f"{name:<20} {count:>9} {row['seconds']:>8.2f} {row['gigabytes']:>8.2f} "
                f"{row['gigabytes_before']:>7.2f}",
                flush=True,
            )
            # After every row: the largest sizes take minutes, and what was measured should outlive an interruption.
            if given.json:
                machine = {"machine": platform.machine(), "cores": os.cpu_count(), "threads": given.threads}
                given.json.write_text(json.dumps({**machine, "width": WIDTH, "rows": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
