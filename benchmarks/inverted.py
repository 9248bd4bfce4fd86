"""Searching vectors in files: all of them, and through inverted lists on disk: ``python benchmarks/inverted.py``.

Vectors overlap in clusters of unequal size, as embeddings do; queries are further ones of the same kind. Recall is the
share of the exact nearest ten that were found. Seconds are the processor's, of this process, with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from nearfar.evaluation import Embeddings
from nearfar.evaluation.embeddings.on_disk import Inverted, Vectors, exact, recall

PROBES = (1, 4, 16, 32, 64, 128)


def drawn(count: int, width: int, seed: int) -> np.ndarray:
    """Vectors around 1,000 centres, of which the first are drawn most often."""
    centres = np.random.default_rng(0).standard_normal((1000, width)).astype(np.float32)
    rng = np.random.default_rng(seed)
    chosen = (1000 * rng.random(count) ** 2).astype(int)
    return centres[chosen] + rng.standard_normal((count, width), dtype=np.float32)


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    queries = drawn(options.queries, options.width, 1)
    result: dict[str, Any] = {"rows": options.rows, "width": options.width, "queries": options.queries}
    result |= {"machine": platform.machine(), "cores": os.cpu_count(), "faiss": faiss.__version__}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "vectors"
        folder.mkdir()
        for number in range(10):
            part = drawn(options.rows // 10, options.width, 2 + number)
            ids = np.arange(len(part)) + number * len(part)
            Embeddings(part, ids).save(folder / f"part-{number:06d}.parquet")
        vectors = Vectors(folder)
        begun = time.process_time()
        true = exact(vectors, queries, 10)[1]
        result["exact seconds"] = time.process_time() - begun
        begun = time.process_time()
        place = Inverted.build(vectors, Path(scratch) / "vectors.ivf")
        result["build seconds"] = time.process_time() - begun
        result["bytes of vectors"] = sum(path.stat().st_size for path in folder.iterdir())
        result["bytes of index"] = sum(path.stat().st_size for path in place.iterdir())
        result["lists"] = Inverted(place).described["lists"]
        print(
            f"{options.rows:,} x {options.width}: exact {result['exact seconds']:.2f} s for {options.queries} queries"
        )
        size = result["bytes of index"] / 1e6
        print(f"index of {result['lists']} lists: {result['build seconds']:.1f} s, {size:.0f} MB")
        result["probes"] = []
        for probe in PROBES:
            index = Inverted(place, probe)
            begun = time.process_time()
            found = index.nearest(queries, 10)[1]
            seconds = time.process_time() - begun
            result["probes"].append({"probe": probe, "seconds": seconds, "recall@10": recall(found, true)})
            ratio = result["exact seconds"] / seconds
            print(
                f"{probe:>5} lists: {seconds:.3f} s, {ratio:.0f} times, recall@10 {recall(found, true):.3f}", flush=True
            )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
