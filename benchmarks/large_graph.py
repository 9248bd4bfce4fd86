"""A graph of a million nodes and ten million edges, trained, embedded and measured by command, with what each needs.

    python benchmarks/large_graph.py
    python benchmarks/large_graph.py --nodes 100000 --edges 1000000 --method grace

The graph is generated as tables that a person would have, ``nodes.parquet`` and ``edges.csv``, with ids that are no
positions. Every command is a process of its own; its peak is the kernel's figure for that process. Beside it, the time
in which a part of the graph is drawn and cut out, by ours and by PyTorch Geometric's ``subgraph``, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq


def write_graph(folder: Path, nodes: int, edges: int, features: int) -> None:
    """The two tables of a generated citation graph."""
    from nearfar.graph.data.citation import citation_graph

    found = citation_graph(nodes=nodes, features=features, mean_degree=2 * edges / nodes)
    ids = np.random.default_rng(0).permutation(10 * nodes)[:nodes]
    once = found["edge_index"][:, found["edge_index"][0] < found["edge_index"][1]]
    words = {f"word {i}": found["x"][:, i].astype(np.int8) for i in range(features)}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, **words, "label": found["y"]}), folder / "nodes.parquet")
    pa.csv.write_csv(pa.table({"source": ids[once[0]], "target": ids[once[1]]}), folder / "edges.csv")


def command(*words: str) -> dict[str, Any]:
    """Run ``nearfar``; its processor seconds and its peak in gigabytes."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "nearfar", *words], stdout=subprocess.DEVNULL)
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise SystemExit(f"nearfar {' '.join(words)} ended with code {process.returncode}")
    return {
        "processor seconds": round(used.ru_utime + used.ru_stime, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "peak GB": round(used.ru_maxrss * 1024 / 1e9, 2),
    }


def drawing(folder: Path, size: int, repeats: int) -> dict[str, float]:
    """Parts a second: ours draws nodes and cuts them out, PyTorch Geometric cuts out the same nodes; and ours alone."""
    import torch
    from torch_geometric.utils import subgraph

    from nearfar.graph.data import load

    torch.set_num_threads(1)
    data = load(folder, sampled=size)
    parts, graph = data.parts, data.graph
    times: dict[str, list[float]] = {"draw": [], "cut": [], "PyTorch Geometric": []}
    for seed in range(repeats + 1):
        begun = time.process_time()
        nodes = parts.nodes(np.random.default_rng(seed))
        drawn = time.process_time()
        ours = parts.cut(graph.x, nodes)
        cut = time.process_time()
        theirs, _ = subgraph(torch.from_numpy(nodes), graph.edge_index, relabel_nodes=True, num_nodes=graph.num_nodes)
        ended = time.process_time()
        if theirs.shape != ours.edge_index.shape:
            raise SystemExit("the two sides cut out other edges")
        if seed:
            for name, taken in zip(times, (drawn - begun, cut - drawn, ended - cut), strict=True):
                times[name].append(taken)
    found = {f"{name}, a second": round(1 / statistics.median(taken), 1) for name, taken in times.items()}
    found["times faster at cutting"] = round(found["cut, a second"] / found["PyTorch Geometric, a second"], 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--edges", type=int, default=10_000_000, help="undirected edges, each once")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--method", default="bgrl")
    parser.add_argument("--sampled", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=10, help="parts that are cut out by each side")
    parser.add_argument("--graph", type=Path, help="a folder with the graph, or where to write it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="large-graph-") as scratch:
        folder = options.graph or Path(scratch) / "graph"
        if not (folder / "nodes.parquet").is_file():
            write_graph(folder, options.nodes, options.edges, options.features)
        run = str(Path(scratch) / "run")
        training = ("--sampled", str(options.sampled), "--steps", str(options.steps))
        results: dict[str, Any] = {
            "train": command("train", options.method, "--data", str(folder), *training, "--out", run),
            "embed": command("embed", run, "-o", str(Path(scratch) / "vectors.parquet")),
            "evaluate": command("evaluate", run),
        }
        evaluation = json.loads((Path(run) / "evaluation.json").read_text())
        results["evaluate"] |= {side: evaluation[side]["probe 10% labels"] for side in ("trained", "untrained")}
        results["parts"] = drawing(folder, options.sampled, options.repeats)
    print(json.dumps(results, indent=1))
    if options.json:
        settings = {
            name: getattr(options, name) for name in ("nodes", "edges", "features", "method", "sampled", "steps")
        }
        options.json.write_text(json.dumps({"settings": settings, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
