"""The command line in processes of its own that start in milliseconds.

Every run is a fresh process, forked from a server that has imported torch and nothing else has happened in. The
process notes every finished step, and can be told to kill itself at an exact place, which no clock can hit.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PLACES = ("step", "backward", "torn write", "before rename", "after rename", "monitor", "epoch")
"""Where a run of one update in a step can kill itself; of several, ``update`` counts them all. In either, ``moved`` is
between the optimisers' step and what follows it, such as averages of weights."""
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.training.preloaded"])


@dataclass(frozen=True)
class Kill:
    """SIGKILL at the ``count``-th time that a place is reached (1 is the first)."""

    place: str
    count: int


@dataclass
class Launched:
    """A process that runs one command."""

    process: BaseProcess
    output: Path
    notes: Path

    @property
    def steps(self) -> list[int]:
        """The optimiser steps that it finished, in order."""
        return [int(line) for line in self.notes.read_text().split()] if self.notes.exists() else []

    def wait(self, timeout: float = 120) -> int:
        """Its exit code; minus the signal's number when a signal ended it."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"still running after {timeout} s:\n{self.said}")
        return self.process.exitcode

    def wait_for(self, happened: Callable[[], bool], timeout: float = 60) -> None:
        """Until something has happened or the process has ended."""
        pause = threading.Event()
        for _ in range(int(timeout / 0.002)):
            if happened() or self.process.exitcode is not None:
                return
            pause.wait(0.002)
        raise TimeoutError(self.said)

    def send(self, number: int) -> None:
        if self.process.exitcode is None and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    @property
    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""


def launch(
    folder: Path,
    *words: str,
    kill: Kill | None = None,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[], Any] | None = None,
) -> Launched:
    """Start ``nearfar words``; its output and notes go to files in ``folder``.

    Args:
        kill: where it kills itself.
        environment: added to the process's environment.
        prepare: called in the process before the command; a module's function.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("*.out")))
    output, notes = folder / f"{number}.out", folder / f"{number}.steps"
    output.touch()
    process = _context.Process(
        target=_main, args=(words, output, notes, kill, dict(environment or {}), prepare), daemon=False
    )
    process.start()
    return Launched(process, output, notes)


def _main(
    words: tuple[str, ...],
    output: Path,
    notes: Path,
    kill: Kill | None,
    environment: dict[str, str],
    prepare: Callable[[], Any] | None,
) -> None:
    import torch

    from nearfar.cli import main

    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _note_steps(notes)
    if kill is not None:
        _arrange(kill)
    if prepare is not None:
        prepare()
    code = main(words)
    os._exit(code)


def _note_steps(notes: Path) -> None:
    from nearfar.training import Method

    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    original = Method.optimizer_step

    def noted(self: Method, epoch: int, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        original(self, epoch, batch_idx, *args, **kwargs)
        os.write(file, f"{batch_idx + 1}\n".encode())

    several = Method._make_updates

    def noted_all(self: Method, views: Any, step: int) -> None:
        several(self, views, step)
        os.write(file, f"{step + 1}\n".encode())

    Method.optimizer_step = noted  # type: ignore[method-assign]
    Method._make_updates = noted_all  # type: ignore[method-assign]


def _arrange(kill: Kill) -> None:
    """Wrap the function at the kill's place so that its ``count``-th call is the last thing that happens."""
    from nearfar.common import files
    from nearfar.training import Method, Monitor
    from nearfar.training.nonfinite import FiniteGuard

    left = [kill.count]

    def reached(when: bool = True) -> None:
        if when:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def before(owner: Any, name: str, meet: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            meet(*args)
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    if kill.place == "step":
        before(Method, "_step_done", lambda *_: reached())
    elif kill.place == "backward":
        before(Method, "on_before_optimizer_step", lambda *_: reached())
    elif kill.place == "update":
        before(FiniteGuard, "gradients", lambda *_: reached())
    elif kill.place == "moved":
        before(FiniteGuard, "moved", lambda *_: reached())
    elif kill.place == "epoch":
        before(Method, "training_step", lambda method, batch, index: reached(_starts_epoch(method, index)))
    elif kill.place == "monitor":
        before(Monitor, "measure", lambda *_: reached())
    elif kill.place == "torn write":
        before(files.os, "fsync", lambda handle: _tear(handle, reached, left))
    elif kill.place == "before rename":
        before(files.os, "replace", lambda *_: reached())
    elif kill.place == "after rename":
        before(files, "_sync_folder", lambda *_: reached())
    else:
        raise ValueError(f"no place {kill.place!r}; there are {', '.join(PLACES)}")


def _starts_epoch(method: Any, batch_index: int) -> bool:
    return batch_index > 0 and batch_index % method.trainer.train_dataloader.steps.steps_per_epoch == 0


def _tear(handle: int, reached: Callable[[], None], left: list[int]) -> None:
    if left[0] == 1:
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
    reached()
