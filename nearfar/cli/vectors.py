"""The command neighbours: search in vectors that were written by embed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import UsageError

CHECKED = 200
"""Queries by which recall is measured."""


def neighbours(argv: list[str]) -> int:
    parser = Parser(prog="nearfar neighbours", description="Find the nearest vectors of others, by their cosines.")
    parser.add_argument("vectors", type=Path, help="what to search: a folder or parquet file that embed wrote")
    parser.add_argument("queries", type=Path, help="vectors of the same run: a folder, a .parquet or an .npz file")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("-k", type=int, default=10, help="neighbours of each query")
    parser.add_argument("--index", choices=["exact", "ivf"], default="exact", help="ivf: inverted lists on disk")
    parser.add_argument("--lists", type=int, help="of a new index; four times the root of the number of vectors")
    parser.add_argument("--probe", type=int, default=32, help="lists that a search looks into")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args(argv)
    writable(options.out, options.overwrite, (".csv", ".parquet"))
    if options.k < 1:
        raise UsageError(f"-k must be at least 1, got {options.k}")
    import numpy as np

    from nearfar.cli.verbs import write_columns
    from nearfar.evaluation import Embeddings
    from nearfar.evaluation.embeddings.on_disk import Inverted, Vectors, exact, recall

    vectors, queries = Vectors(options.vectors), Embeddings.load(options.queries)
    k = min(options.k, len(vectors))
    if options.index == "exact":
        values, rows = exact(vectors, queries.array, k)
    else:
        place = options.vectors.with_name(f"{options.vectors.stem}.ivf")
        if not place.exists():
            begun = time.perf_counter()
            Inverted.build(vectors, place, lists=options.lists)
            print(f"index of {len(vectors):,} vectors in {place}: {time.perf_counter() - begun:.1f} s", file=sys.stderr)
        index = Inverted(place, options.probe)
        if not index.fits(vectors):
            raise UsageError(f"{place} is an index of other vectors than {options.vectors} holds now; remove it")
        values, rows = index.nearest(queries.array, k)
        some = np.random.default_rng(0).permutation(len(queries))[:CHECKED]
        share = recall(rows[some], exact(vectors, queries.array[some], k)[1])
        print(f"recall@{k} {share:.4f} of exact, on {len(some)} queries", file=sys.stderr)
    found = vectors.ids(rows)
    keep = rows.ravel() >= 0
    columns = {
        "query": [str(name) for name in np.repeat(queries.ids, k)[keep]],
        "rank": np.tile(np.arange(1, k + 1), len(queries))[keep].tolist(),
        "neighbour": [str(name) for name in found.ravel()[keep]],
        "cosine": values.ravel()[keep].astype(float).tolist(),
    }
    write_columns(options.out, columns)
    print(f"{len(queries):,} queries, {k} neighbours each, in {options.out}", file=sys.stderr)
    return 0
