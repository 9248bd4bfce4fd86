"""What a run took."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from typing import Any

import lightning as L
import torch

from nearfar.runs.run import Run, RunError

FILE = "cost.json"


def taken(run: Run) -> dict[str, float]:
    """What a run took in its earlier sittings; nothing where that is not known."""
    with contextlib.suppress(RunError):  # a damaged file costs its numbers, not the run
        kept = run.read_json(FILE)
        if isinstance(kept, dict):
            return {k: v for k, v in kept.items() if isinstance(v, int | float)}
    return {}


class Cost(L.Callback):
    """Keeps ``cost.json``: ``seconds`` on the clock, ``cpu_seconds`` of this process, ``steps`` and ``examples``
    seen in them, ``peak_bytes`` of memory (``device_bytes`` of a GPU's), the number of ``sittings``.

    A run that was interrupted adds what its sittings took; what a killed one did after its last checkpoint is lost, and
    done again.

    Args:
        run: whose folder it stands in.
        examples_per_step: over all ranks.
        resumed: add to what the file says.
    """

    def __init__(self, run: Run, examples_per_step: int | None, *, resumed: bool = False) -> None:
        self.run, self.examples_per_step = run, examples_per_step or 0
        self._before = taken(run) if resumed else {}
        self._trainer: L.Trainer | None = None
        self._since = (0.0, 0.0, 0)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._trainer = trainer
        self._since = (time.perf_counter(), time.process_time(), trainer.global_step)

    def save(self) -> None:
        """Write what was taken so far."""
        trainer = self._trainer
        if trainer is None or not trainer.is_global_zero:
            return
        steps = trainer.global_step - self._since[2]
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
        found: dict[str, float] = {
            "seconds": time.perf_counter() - self._since[0],
            "cpu_seconds": time.process_time() - self._since[1],
            "steps": steps,
            "examples": steps * self.examples_per_step,
            "sittings": 1,
        }
        found = {name: round(value + self._before.get(name, 0), 3) for name, value in found.items()}
        peaks = {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
        if torch.cuda.is_available():
            peaks["device_bytes"] = torch.cuda.max_memory_allocated()
        found |= {name: max(value, self._before.get(name, 0)) for name, value in peaks.items()}
        self.run.write_json(FILE, found)

    def on_train_end(self, *_: Any) -> None:
        self.save()
