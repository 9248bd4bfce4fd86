"""Being asked to stop: Ctrl-C, SIGTERM and SIGUSR1 finish the step, save, and leave with a code that says why."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist

from nearfar.common import distributed

INTERRUPTED, TERMINATED, REQUEUE = 130, 143, 75
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGUSR1: REQUEUE}
_REASON = {INTERRUPTED: "Ctrl-C", TERMINATED: "SIGTERM", REQUEUE: "SIGUSR1"}
# One Ctrl-C may arrive twice: from the terminal, and from a launcher that passes it on.
_SAME_PRESS = 0.5


class Stopped(SystemExit):
    """A run was asked to stop and did, between two steps.

    Uncaught, it ends the process with ``code``: 143 after SIGTERM; 75 (``EX_TEMPFAIL``: try again later) after
    SIGUSR1, by which clusters announce that they take a machine back. After Ctrl-C :func:`nearfar.training.fit`
    raises ``KeyboardInterrupt`` instead, and the command line leaves with 130.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.message = message

    def __str__(self) -> str:
        return self.message


class StopSignals:
    """While entered, the signals in ``CODES`` set :attr:`code` instead of ending the process.

    A second Ctrl-C raises ``KeyboardInterrupt`` at once, a third one is left to the system. With ``patient=False``
    the first one does so already, for runs that have nothing to save. Outside the main thread, where Python
    allows no handlers, nothing happens.
    """

    def __init__(self, *, patient: bool = True) -> None:
        self.patient = patient
        self.code = 0
        self._since = 0.0
        self._process = os.getpid()
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in CODES}
            self.claim()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *trace: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}
        if isinstance(error, Stopped) and error.code == INTERRUPTED:
            raise KeyboardInterrupt(error.message) from None
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None  # Lightning ends the process with 1 instead

    def claim(self) -> None:
        """Take the signals again, from a library that took them in between."""
        for number in self._previous:
            signal.signal(number, self._handle)

    def agreed(self) -> int:
        """The code that any rank was given, 0 for none; every rank gets the same answer at the same step."""
        if distributed.world_size() == 1:
            return self.code
        device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
        code = torch.tensor(self.code, device=device)
        dist.all_reduce(code, dist.ReduceOp.MAX)
        return int(code)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a loader's worker inherited this handler; its parent decides
        if number == signal.SIGINT:
            again = self.code != 0 and time.monotonic() - self._since > _SAME_PRESS
            if again or not self.patient:
                signal.signal(signal.SIGINT, signal.SIG_DFL if again else signal.default_int_handler)
                raise KeyboardInterrupt
        if self.code == 0:
            self.code, self._since = CODES[signal.Signals(number)], time.monotonic()
            if self.patient and number == signal.SIGINT and distributed.rank() == 0:
                # Not print: the interrupted code may be in the middle of one.
                os.write(2, b"\nnearfar: finishing this step and saving; press Ctrl-C again to stop at once\n")


class Stopping(L.Callback):
    """Ends a run between two steps once a signal has asked for it. Comes after every other callback.

    Args:
        signals: entered around the fit.
        save: makes sure that the state of this step is on disk; ``None`` when nothing is kept.
        folder: the run's folder, for the message.
    """

    def __init__(
        self,
        signals: StopSignals,
        save: Callable[[L.Trainer], None] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.signals, self.save, self.folder = signals, save, folder

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # Lightning's own handler talks to other ranks from within the signal, wherever they are: they may hang.
        self.signals.claim()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        code = self.signals.agreed()
        step = trainer.global_step
        if not code or step >= trainer.max_steps:
            return
        if self.save is None:
            raise Stopped(
                code, f"stopped by {_REASON[code]} after step {step}; nothing was kept, there is no run folder"
            )
        self.save(trainer)
        raise Stopped(
            code,
            f"stopped by {_REASON[code]} after step {step}, which is saved; "
            f"continue with `nearfar resume {self.folder}`",
        )
