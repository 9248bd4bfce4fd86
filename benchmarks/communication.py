"""What the processes of a training step tell each other: ``python benchmarks/communication.py [--json FILE]``.

Real processes over gloo train a few steps, and every message is counted where it is sent: for what, how many, how many
bytes. Bytes do not depend on the machine; times would, and eight processes on two cores say nothing of them, so none is
given. ``wire`` is what a process sends by ring algorithms: 2 (R - 1) / R of a sum, (R - 1) / R of what is gathered or
scattered. From the bytes at R processes those at 64 follow (``--at``), with the assumptions of ``ASSUMED``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from measuring import free_port

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.training import Training, fit

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "simclr, ResNet-18": ("simclr", {"encoder": "resnet18"}),
    "simclr, ViT-Ti": ("simclr", {"encoder": "vit-ti16"}),
}
ASSUMED = {"wire bytes a second and process": 20e9, "seconds a message": 30e-6}
"""Of 64 GPUs on eight machines: 200 Gb/s of network per GPU, 80% of it reached; a ring's start over 64 processes."""
PURPOSES = {
    "joint_norm": "statistics of batch norm",
    "nonfinite": "whether the loss is finite",
    "_row_counts": "rows of each process",
    "_reduce": "sums of the loss",
    "_AllGather": "embeddings",
    "_SumOfOwnRows": "gradients of embeddings",
    "mean": "what is logged",
    "average_gradients": "gradients without parts",
    "signals": "whether to stop",
    "fit": "whether Lightning goes on",
    "fsdp": "parameters",
}


class Counted(L.Callback):
    """Counts messages of the steps after the first, by purpose."""

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.size: Counter[str] = Counter()
        self.wire: Counter[str] = Counter()
        self.steps = 0
        self.on = False

    def note(self, purpose: str, kind: str, size: int) -> None:
        if self.on:
            share = (dist.get_world_size() - 1) / dist.get_world_size()
            self.messages[purpose] += 1
            self.size[purpose] += size
            self.wire[purpose] += round(size * share * (2 if kind == "sum" else 1))

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not isinstance(trainer.model, torch.nn.parallel.DistributedDataParallel):
            return

        def counted(_, bucket):  # type: ignore[no-untyped-def]  # torch refuses annotations that are written as words
            self.note("gradients", "sum", bucket.buffer().nbytes)
            summed = dist.distributed_c10d._get_default_group().allreduce([bucket.buffer().div_(dist.get_world_size())])
            return summed.get_future().then(lambda done: done.value()[0])

        trainer.model.register_comm_hook(None, counted)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.steps += self.on
        self.on = True


def purpose(kind: str) -> str:
    """Who sends: the innermost function of nearfar, or FSDP2."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        where = f"{code.co_qualname} {Path(code.co_filename).stem}"
        if "_fsdp" in code.co_filename or "_fully_shard" in code.co_filename:
            return "gradients" if kind == "scatter" else "parameters"
        if "nearfar" in code.co_filename:
            return next((said for word, said in PURPOSES.items() if word in where), where)
        frame = frame.f_back
    return "other"


@contextmanager
def counting(counted: Counted) -> Iterator[None]:
    """Within this block what is sent through ``torch.distributed`` is counted."""
    kinds = {"all_reduce": "sum", "all_gather": "gather", "broadcast": "gather"}
    kinds |= dict.fromkeys(("all_gather_into_tensor", "all_gather_single"), "gather")
    kinds |= dict.fromkeys(("reduce_scatter_tensor", "reduce_scatter_single"), "scatter")
    before = {name: getattr(dist, name) for name in kinds if hasattr(dist, name)}

    def wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            first = named.get("input") if kinds[name] == "scatter" else None
            sent = first if first is not None else (args[0] if args else next(iter(named.values())))
            if kinds[name] == "scatter" and first is None:
                sent = args[1]
            size = sum(part.nbytes for part in sent) if isinstance(sent, list) else sent.nbytes
            counted.note(purpose(kinds[name]), kinds[name], size)
            return function(*args, **named)

        return run

    for name, function in before.items():
        setattr(dist, name, wrapped(name, function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(dist, name, function)


def worker(rank: int, options: argparse.Namespace, port: int, out: str) -> None:
    """Train on one rank; rank 0 writes what it sent."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), LOCAL_RANK=str(rank))
    os.environ.update(WORLD_SIZE=str(options.world), LOCAL_WORLD_SIZE=str(options.world), TORCHELASTIC_RUN_ID="here")
    os.environ.update(GROUP_RANK="0")
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name, (slug, arguments) in CASES.items():
        for strategy in ("ddp", "fsdp2"):
            entry = find(slug)
            laptop, _ = workflow.laptop_settings(entry)
            data = workflow.load_data(entry.field, entry.data, size=options.side)
            method = workflow.build_method(entry, {**laptop, **arguments}, data, 0)
            counted = Counted()
            batch = options.rows * options.world
            training = Training(steps=3, batch_size=batch, monitor_every=-1, precision="32", strategy=strategy)
            with counting(counted):
                fit(method, data, training, progress=False, callbacks=[counted])
            held = sum(p.nbytes for p in method.parameters())
            for what in sorted(counted.wire, key=lambda what: -counted.wire[what]):
                row = {"case": name, "strategy": strategy, "parameters": held, "batch": batch, "what": what}
                row |= {"messages": counted.messages[what] / counted.steps, "bytes": counted.size[what] / counted.steps}
                row |= {"wire": counted.wire[what] / counted.steps}
                rows.append(row)
    if rank == 0:
        Path(out).write_text(json.dumps({"world": options.world, "rows": rows, "assumed": ASSUMED}, indent=2) + "\n")
    dist.barrier()


def extrapolated(rows: list[dict[str, Any]], world: int, at: int) -> dict[str, float]:
    """Seconds that the messages of a step take on ``at`` GPUs with as many examples each, one after another.

    What is of parameters keeps its size; what is of the batch grows with the processes.
    """
    of_batch = ("embeddings", "gradients of embeddings", "sums of the loss", "rows of each process")
    ring = ((at - 1) / at) / ((world - 1) / world)
    wire = sum(row["wire"] * ring * (at / world if row["what"] in of_batch else 1) for row in rows)
    messages = sum(row["messages"] for row in rows)
    speed, start = ASSUMED["wire bytes a second and process"], ASSUMED["seconds a message"]
    return {"wire MB": wire / 1e6, "messages": messages, "seconds": wire / speed + messages * start}


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=int, default=8, help="processes of one thread each")
    parser.add_argument("--rows", type=int, default=4, help="examples of a process in a step")
    parser.add_argument("--side", type=int, default=32, help="pixels")
    parser.add_argument("--at", type=int, default=64, help="GPUs to extrapolate to")
    parser.add_argument("--json", type=Path, default=Path("communication.json"))
    options = parser.parse_args()
    mp.spawn(worker, (options, free_port(), str(options.json)), nprocs=options.world)
    found = json.loads(options.json.read_text())
    cases = dict.fromkeys((row["case"], row["strategy"]) for row in found["rows"])
    found["extrapolated"] = []
    for case, strategy in cases:
        rows = [row for row in found["rows"] if (row["case"], row["strategy"]) == (case, strategy)]
        total = sum(row["wire"] for row in rows)
        print(f"\n{case}, {strategy}: {rows[0]['parameters'] / 1e6:.1f} MB of parameters")
        for row in rows:
            counts = f"{row['messages']:>8.1f} messages{row['wire']:>14,.0f} bytes{row['wire'] / total:>8.1%}"
            print(f"  {row['what']:<28}{counts}")
        there = extrapolated(rows, found["world"], options.at)
        found["extrapolated"].append({"case": case, "strategy": strategy, "at": options.at, **there})
        seen = f"{there['wire MB']:.1f} MB, {there['messages']:.0f} messages, {there['seconds'] * 1e3:.1f} ms"
        print(f"  on {options.at}: {seen}")
    options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
