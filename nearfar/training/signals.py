"""Being asked to stop: Ctrl-C, SIGTERM and SIGUSR1 finish the step, save, and leave with a code that says why."""

from __future__ import annotations

import math
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
# What an operation that Python cannot interrupt gets to end by itself, in seconds.
_GRACE = 1.0
_ANSWER = b"\nnearfar: finishing this step and saving; press Ctrl-C again to stop at once\n"
_STUCK = b"\nnearfar: stopping as soon as the operation that runs has ended; press Ctrl-C again to end the process\n"


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

    Python runs handlers between two of its own instructions, and an operation of torch may take minutes. A thread is
    therefore told of Ctrl-C by the system as well: it answers at once, and ends the process at the third where the
    operation never ended. Where something else already listens in this way (a notebook's kernel), it is left alone.
    """

    def __init__(self, *, patient: bool = True) -> None:
        self.patient = patient
        self.code = 0
        self._since = 0.0
        self._process = os.getpid()
        self._previous: dict[signal.Signals, Any] = {}
        self._listener: Listener | None = None

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in CODES}
            self._listener = Listener.started(self.patient)
            self.claim()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *trace: Any) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
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
            if self.patient and number == signal.SIGINT and self._listener is None:
                _tell(_ANSWER)


class Listener:
    """A thread that hears of Ctrl-C from the system, whatever the main thread is doing.

    Args:
        patient: whether the first one only asks, and the second stops.
        read, write: ends of a pipe to which the system writes the number of every signal.
    """

    def __init__(self, patient: bool, read: int, write: int) -> None:
        self.patient, self._read, self._write = patient, read, write
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    @classmethod
    def started(cls, patient: bool) -> Listener | None:
        """One that listens from now on; ``None`` where something else does. In the main thread."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
            os.close(read)
            os.close(write)
            return None
        found = cls(patient, read, write)
        found._thread.start()
        return found

    def stop(self) -> None:
        """Listen no longer. In the main thread."""
        self._ended.set()
        signal.set_wakeup_fd(-1)
        os.write(self._write, b"\0")  # closing would not wake it, as workers hold the pipe too
        self._thread.join()
        os.close(self._write)
        os.close(self._read)

    def _listen(self) -> None:
        presses, last = 0, -math.inf
        while not self._ended.is_set():
            numbers = os.read(self._read, 256)
            # Loaders' workers share the pipe: what comes at the same time is one press.
            if signal.SIGINT not in numbers or time.monotonic() - last < _SAME_PRESS:
                continue
            presses, last = presses + 1, time.monotonic()
            if presses == 1 and self.patient:
                _tell(_ANSWER)
            elif not self._ended.wait(_GRACE):
                if presses >= 3:
                    os._exit(INTERRUPTED)
                _tell(_STUCK)


def _tell(text: bytes) -> None:
    """Write to standard error; not by print, as the interrupted code may be in the middle of one."""
    if distributed.rank() == 0:
        os.write(2, text)


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
