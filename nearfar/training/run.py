"""A run is a folder: everything needed to repeat it, continue it, and read what came of it."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import platform
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from nearfar.training.checkpoint import latest_checkpoint
from nearfar.training.files import atomic_write, reason, remove_parts


class RunError(RuntimeError):
    """A run folder cannot be used as asked; the message says why and what to do."""


# Which folders this process holds; record locks do not keep a process from locking a file twice.
_HELD: weakref.WeakValueDictionary[tuple[int, Path], Run] = weakref.WeakValueDictionary()


class Run:
    """The folder of one run.

    ============================  =====================================================================
    ``config.yaml``               method, hyper-parameters, data and training settings, environment
    ``metrics.csv``               one row per logged step
    ``checkpoints/``              see :mod:`nearfar.training.checkpoint`
    ``encoder.safetensors``       the encoder's weights, written when the run is complete
    ``evaluation.json``           what ``nearfar evaluate`` measured
    ``report.html``               one page for people
    ============================  =====================================================================
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock: io.TextIOWrapper | None = None

    # Making and opening -----------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path | str, config: Mapping[str, Any]) -> Run:
        """A new folder; one that already holds a run is never overwritten."""
        run = cls(path)
        if run.config_path.exists():
            raise RunError(
                f"{path} already holds a run. Continue it with `nearfar resume {path}`, or choose another --out."
            )
        if run.path.exists() and (not run.path.is_dir() or any(not _left_over(p) for p in run.path.iterdir())):
            raise RunError(f"{path} exists and is not an empty folder. Choose another --out.")
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            run.lock()
            run.write_config(config)
        except OSError as error:
            raise RunError(f"the run folder {path} cannot be written: {reason(error)}") from error
        return run

    @classmethod
    def open(cls, path: Path | str) -> Run:
        run = cls(path)
        if not run.config_path.is_file():
            raise RunError(f"{path} is not a run folder: it has no config.yaml")
        return run

    def lock(self) -> None:
        """Hold the folder for this process; two runs never write to one folder.

        The system lets go of it when the process ends, however it ends. What a killed process left half written is
        removed.
        """
        key = (os.getpid(), self.path.resolve())
        if _HELD.get(key, self) is not self:
            raise RunError(f"{self.path} is in use by a run of this process; finish it or choose another --out")
        if self._lock is None:
            try:
                handle = open(self.path / ".lock", "a")  # noqa: SIM115  (kept open as long as the lock is held)
            except OSError as error:
                raise RunError(f"the run folder {self.path} cannot be written: {reason(error)}") from error
            try:
                # A record lock, because a loader's workers would inherit any other and outlive a killed run with it.
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.close()
                raise RunError(
                    f"{self.path} is in use by another process; wait for it or choose another --out"
                ) from error
            self._lock = handle
            _HELD[key] = self
        remove_parts(self.path)

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
            _HELD.pop((os.getpid(), self.path.resolve()), None)

    # Places -----------------------------------------------------------------------------------------------

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def encoder_path(self) -> Path:
        return self.path / "encoder.safetensors"

    @property
    def config(self) -> dict[str, Any]:
        try:
            config = yaml.safe_load(self.config_path.read_text())
        except yaml.YAMLError as error:
            raise RunError(f"{self.config_path} is not valid YAML: {error}") from error
        if not isinstance(config, dict) or "method" not in config:
            raise RunError(f"{self.config_path} does not describe a run: it names no method")
        return config

    def latest_checkpoint(self) -> Path | None:
        return latest_checkpoint(self.checkpoints) if self.checkpoints.is_dir() else None

    @property
    def complete(self) -> bool:
        return self.encoder_path.is_file()

    # Results ----------------------------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> Path:
        with atomic_write(self.path / name, "w") as file:
            file.write(text)
        return self.path / name

    def write_config(self, config: Mapping[str, Any]) -> Path:
        return self.write_text("config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def write_json(self, name: str, content: Any) -> Path:
        return self.write_text(name, json.dumps(content, indent=2, allow_nan=True) + "\n")

    def read_json(self, name: str) -> Any:
        path = self.path / name
        return json.loads(path.read_text()) if path.is_file() else None


def _left_over(path: Path) -> bool:
    """Whether a file is all that an interrupted start leaves."""
    return path.name == ".lock" or path.name.endswith(".part")


def environment() -> dict[str, str]:
    """What a run's numbers may depend on, for its config and its report."""
    import lightning
    import torch

    from nearfar import __version__

    return {
        "nearfar": __version__,
        "torch": str(torch.__version__),
        "lightning": lightning.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def free_folder(wanted: Path) -> Path:
    """``wanted``, or ``wanted-2``, ``wanted-3``, ... whichever is free first."""
    candidate, number = wanted, 2
    while candidate.exists():
        candidate, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return candidate


class MetricsCSV(L.Callback):
    """``metrics.csv``: a row per recorded step, columns in the order they first appeared.

    The step of a row counts the optimiser steps that are done. Rows are appended; the file is rewritten only when
    a new column appears. On resume, rows from after the checkpoint are dropped, so that no step is in it twice.

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
        if resume_step is not None and path.is_file():
            for row in read_metrics(path):
                if row.get("step", resume_step + 1) <= resume_step:
                    self.record(int(row.pop("step")), row)
            self._rewrite()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        step = trainer.global_step
        if trainer.is_global_zero and (step % self.every == 0 or step == trainer.max_steps):
            found = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("train/")}
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
        new = [name for name in values if name not in self._columns]
        if new or step in self._rows:
            self._written = 0  # a line that is already in the file changes
        self._columns.extend(new)
        self._rows.setdefault(step, {}).update(values)

    def save(self) -> None:
        """Bring the file up to date."""
        if self._written == 0:
            self._rewrite()
            return
        fresh = list(self._rows.items())[self._written :]
        if fresh:
            with open(self.path, "a", newline="") as file:
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


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``; a torn last row is left out."""
    if not path.is_file():
        return []
    rows = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({k: float(v) for k, v in row.items() if k and v not in ("", None)})
            except (TypeError, ValueError):
                continue
    return rows
