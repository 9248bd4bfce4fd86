"""How long every method's laptop training takes: ``python benchmarks/lengths.py [--json FILE] [--field FIELD]``.

Of each method a few steps with its laptop settings on its embedded data are timed, after two that warm up, in seconds
of the processor, which other work on the machine disturbs least; the training's length follows from its number of
steps. What the data and the network take to be there is told beside it. Rows that stand in the file are kept unless
``--again`` is given.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch

from nearfar.catalogue import METHODS
from nearfar.sources.interaction import Interaction
from nearfar.system import Entry
from nearfar.training import Training
from nearfar.training.fit import fit
from nearfar.workflow import build_method, laptop_settings, load_data

WARM, TIMED = 2, 4


class Stopwatch(L.Callback):
    """Seconds of the processor from the end of one step to the end of the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last = 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        now = time.process_time()
        self.seconds.append(now - self.last)
        self.last = now


def measured(entry: Entry) -> dict[str, Any]:
    """Seconds of a step and of the whole laptop training of one method."""
    arguments, training = laptop_settings(entry)
    settings = replace(Training(), **training)
    # The size of embedded data stands beside the others in a row.
    from nearfar import catalogue

    loader = catalogue.field(entry.field).load
    options = {n: v for n, v in entry.laptop.items() if n in loader.__annotations__ and n not in training | arguments}
    start = time.process_time()
    data = load_data(entry.field, entry.data, **options)
    method = build_method(entry, arguments, data, 0)
    ready = time.process_time() - start
    size = 1 if isinstance(data, Interaction) else len(data)
    watch = Stopwatch()
    short = replace(settings, steps=WARM + TIMED, epochs=None, monitor_every=-1, workers=0)
    fit(method, data, short, progress=False, callbacks=[watch])
    step = statistics.median(watch.seconds[WARM:])
    steps = settings.total_steps(size)
    return {
        "slug": entry.slug,
        "field": entry.field,
        "examples": None if isinstance(data, Interaction) else size,
        "batch": settings.batch_size,
        "steps": steps,
        "ready_seconds": ready,
        "step_seconds": step,
        "seconds": ready + steps * step,
    }


def main() -> None:
    """Print the table, and write it where ``--json`` says, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--field", help="only the methods of one field")
    parser.add_argument("--again", action="store_true", help="measure rows again that are in the file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    if arguments.json and arguments.json.is_file() and not arguments.again:
        rows = {row["slug"]: row for row in json.loads(arguments.json.read_text())["rows"]}
    for entry in METHODS:
        if arguments.field not in (None, entry.field) or entry.slug in rows:
            continue
        try:
            row = measured(entry)
        except Exception as error:  # an extra that is not installed, or data that are not here
            print(f"{entry.slug}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        rows[entry.slug] = row
        print(
            f"{entry.slug:<30} {row['steps']:>6} steps of {row['step_seconds']:.3f} s, {row['seconds']:7.0f} s",
            flush=True,
        )
        gc.collect()
        if arguments.json:
            environment = {
                "machine": platform.processor() or platform.machine(),
                "threads": 1,
                "torch": torch.__version__,
            }
            found = {"environment": environment, "rows": [*rows.values()]}
            part = arguments.json.with_name(f".{arguments.json.name}.part")
            part.write_text(json.dumps(found, indent=1) + "\n")
            os.replace(part, arguments.json)


if __name__ == "__main__":
    main()
