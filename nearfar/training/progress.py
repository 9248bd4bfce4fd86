"""What a person sees while a run goes on: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

import lightning as L

from nearfar.sources.interaction import measured
from nearfar.training.monitor import Monitor
from nearfar.training.steps import step_ends


class Progress(L.Callback):
    """Throughput, loss terms, the monitor's latest values and the remaining time, on standard error.

    On a terminal one line is redrawn by rich; piped output gets a plain line every ``lines``-th part of the
    run, and nothing that a log file cannot show.
    """

    def __init__(self, batch_size: int, *, lines: int = 10, stream: TextIO | None = None) -> None:
        self.batch_size, self.lines = batch_size, lines
        self.stream = stream or sys.stderr
        self._bar: Any = None
        self._task: Any = None
        self._since = (0.0, 0)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._since = (time.perf_counter(), trainer.global_step)
        if trainer.is_global_zero and self.stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("[bold]training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[text]}"),
                TimeRemainingColumn(),
                console=Console(file=self.stream),
                refresh_per_second=4,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=trainer.max_steps, completed=trainer.global_step, text="")

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero or not step_ends(trainer, batch_idx):
            return
        step, total = trainer.global_step, trainer.max_steps
        if self._bar is not None:
            if step % 5 == 0 or step == total:
                self._bar.update(self._task, completed=step, text=self._text(trainer))
        elif step % max(total // self.lines, 1) == 0 or step == total:
            elapsed = time.perf_counter() - self._since[0]
            left = elapsed / max(step - self._since[1], 1) * (total - step)
            print(f"step {step}/{total}  {self._text(trainer)}  {left:.0f} s left", file=self.stream, flush=True)

    def _text(self, trainer: L.Trainer) -> str:
        started, first = self._since
        rate = (trainer.global_step - first) * self.batch_size / max(time.perf_counter() - started, 1e-9)
        parts = [
            f"{name.removeprefix('train/')} {float(value):.4g}"
            for name, value in trainer.callback_metrics.items()
            if name.startswith("train/")
        ]
        parts += [f"{name} {value:.4g}" for name, value in measured(trainer.train_dataloader).items()]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Monitor):
                parts += [f"{name.replace('_', ' ')} {value:.3g}" for name, value in callback.latest.items()]
        skipped = getattr(getattr(trainer.lightning_module, "guard", None), "skipped", 0)
        if skipped:
            parts.append(f"skipped {skipped}")
        return "  ".join([*parts, f"{rate:,.0f}/s"])

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, *_: Any) -> None:
        self._stop()

    def on_exception(self, *_: Any) -> None:
        self._stop()
