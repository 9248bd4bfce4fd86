"""What a person sees while a run goes on: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

import lightning as L

from nearfar.common.durations import in_time
from nearfar.sources.interaction import measured
from nearfar.training.monitor import Monitor
from nearfar.training.steps import step_ends

FIRST, AGAIN = 8.0, 55.0
"""Seconds after which a log that is silent gets a line: at first, and later on."""


class Progress(L.Callback):
    """Throughput, loss terms, the monitor's latest values and the remaining time, on standard error.

    On a terminal one line is redrawn by rich: however narrow it is, count and remaining time stay, and what does not
    fit is cut off the end. Piped output gets a plain line every ``lines``-th part of the run, within ten seconds of its
    begin, and at least one a minute, in the middle of a long step too; and nothing that a log file cannot show.

    Args:
        batch_size: examples of a step.
        lines: of a log, besides those that the clock asks for.
        stream: where to; standard error when not given.
    """

    def __init__(self, batch_size: int, *, lines: int = 10, stream: TextIO | None = None) -> None:
        self.batch_size, self.lines = batch_size, lines
        self.stream = stream or sys.stderr
        self._bar: Any = None
        self._task: Any = None
        self._since = (0.0, 0)
        self._at = (0, 0)
        self._shown = 0.0
        self._quiet: Quiet | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._since = (time.perf_counter(), trainer.global_step)
        self._at = (trainer.global_step, trainer.max_steps)
        if not trainer.is_global_zero:
            return
        if not self.stream.isatty():
            self._quiet = Quiet(self._waiting)
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar
        from rich.table import Column

        self._bar = Bar(
            TextColumn("[bold]training", table_column=Column(no_wrap=True, min_width=8)),
            BarColumn(bar_width=12),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=2 * len(str(trainer.max_steps)) + 1)),
            TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True, min_width=13)),
            TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=Console(file=self.stream),
            refresh_per_second=4,
            expand=True,
        )
        self._bar.start()
        begun = {"total": trainer.max_steps, "completed": trainer.global_step}
        self._task = self._bar.add_task("", text="", left="", **begun)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero or not step_ends(trainer, batch_idx):
            return
        step, total = trainer.global_step, trainer.max_steps
        self._at = (step, total)
        now = time.perf_counter()
        if self._bar is not None:
            if step == total or now - self._shown > 0.25:
                self._shown = now
                shown = {"completed": step, "total": total, "text": self._text(trainer), "left": self._left()}
                self._bar.update(self._task, **shown)
        elif step % max(total // self.lines, 1) == 0 or step == total or (self._quiet and self._quiet.due()):
            self._print(f"step {step}/{total}  {self._text(trainer)}  {self._left()}")

    def note(self, line: str) -> None:
        """Say something besides, without harm to the live line."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            self._print(line)

    def _left(self) -> str:
        """The time that the steps to come will take, as those of this process took."""
        (started, first), (step, total) = self._since, self._at
        if step == first:
            return ""
        return f"{in_time((time.perf_counter() - started) / (step - first) * (total - step))} left"

    def _waiting(self) -> None:
        """Say, in the middle of a step, that it goes on. Called from another thread."""
        step, total = self._at
        left = self._left()
        self._print(f"step {step}/{total} done, the next is being made{f'; about {left}' if left else ''}")

    def _print(self, line: str) -> None:
        if self._quiet is not None:
            self._quiet.broken()
        print(line, file=self.stream, flush=True)

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
        if self._quiet is not None:
            self._quiet.end()
            self._quiet = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, *_: Any) -> None:
        self._stop()

    def on_exception(self, *_: Any) -> None:
        self._stop()


class Quiet:
    """A thread that calls ``say`` when nothing was said for :data:`FIRST` seconds at first, or :data:`AGAIN` later.

    It draws no random number and touches nothing of the run.
    """

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._last, self._limit = time.perf_counter(), FIRST
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def due(self) -> bool:
        """Whether it is time for a line, a little before the thread would say one."""
        return time.perf_counter() - self._last > 0.8 * self._limit

    def broken(self) -> None:
        """Something was said."""
        self._last, self._limit = time.perf_counter(), AGAIN

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(max(self._last + self._limit - time.perf_counter(), 0.01)):
            if time.perf_counter() - self._last >= self._limit:
                self._say()
