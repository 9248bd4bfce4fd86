"""Writing ``metrics.csv`` so that it agrees with the checkpoint it will be resumed from."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

from nearfar.common.files import appending, atomic_write
from nearfar.runs.metrics import UNTRAINED, read_metrics
from nearfar.sources.interaction import measured
from nearfar.training.steps import step_ends


class MetricsCSV(L.Callback):
    """``metrics.csv``: a row per recorded step, columns in the order they first appeared.

    The step of a row counts the optimiser steps that are done. Rows are appended; the file is rewritten only when
    a new column appears. On resume, rows from after the checkpoint are dropped, so that no step is in it twice. What is
    measured before the first step, when there is no loss, is a file of its own beside it.

    Args:
        path: the file.
        every: steps between rows of the loss and its terms; the last step always has one.
        resume_step: the checkpoint's step when the run is continued.
    """

    def __init__(self, path: Path, *, every: int = 10, resume_step: int | None = None) -> None:
        self.path = path
        self.every = every
        self._columns: list[str] = ["step"]
        self._rows: dict[int, dict[str, float]] = {}
        self._written = 0
        self._before: dict[str, float] = {}
        if resume_step is not None and path.is_file():
            for row in read_metrics(path):
                if row.get("step", resume_step + 1) <= resume_step:
                    self.record(int(row.pop("step")), row)
            self._rewrite()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if (
            trainer.is_global_zero
            and step_ends(trainer, batch_idx)
            and (step % self.every == 0 or step == trainer.max_steps)
        ):
            found = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("train/")}
            found |= measured(trainer.train_dataloader)
            guard = getattr(trainer.lightning_module, "guard", None)
            if guard is not None and guard.action == "skip":
                found["train/skipped"] = float(guard.skipped)
            self.record(step, {**found, "lr": trainer.optimizers[0].param_groups[0]["lr"]})

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.save()

    def on_exception(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.is_global_zero and self.path.parent.is_dir():
            with contextlib.suppress(OSError):  # what went wrong is said by the exception itself
                self.save()

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Add values to the row of ``step``."""
        if step == 0:
            self._before.update(values)
            return
        new = [name for name in values if name not in self._columns]
        if new or step in self._rows:
            self._written = 0  # a line that is already in the file changes
        self._columns.extend(new)
        self._rows.setdefault(step, {}).update(values)

    def save(self) -> None:
        """Bring the files up to date."""
        untrained = self.path.with_name(UNTRAINED)
        if self._before and not untrained.is_file():
            with atomic_write(untrained, "w") as file:
                csv.writer(file).writerows([["step", *self._before], [0, *self._before.values()]])
        if self._written == 0:
            self._rewrite()
            return
        fresh = list(self._rows.items())[self._written :]
        if fresh:
            with appending(self.path, "a", newline="") as file:
                csv.writer(file).writerows(self._line(step, row) for step, row in fresh)
            self._written = len(self._rows)

    def _rewrite(self) -> None:
        if self._rows:
            with atomic_write(self.path, "w") as file:
                writer = csv.writer(file)
                writer.writerow(self._columns)
                writer.writerows(self._line(step, row) for step, row in self._rows.items())
        self._written = len(self._rows)

    def _line(self, step: int, row: Mapping[str, float]) -> list[Any]:
        return [step, *(row.get(name, "") for name in self._columns[1:])]
