"""A run is a folder: everything needed to repeat it, continue it, and read what came of it."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import platform
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nearfar.common.files import appending, atomic_write, read_whole, reason, remove_parts
from nearfar.common.settings_files import dump_settings, read_settings
from nearfar.runs.checkpoints import latest_checkpoint

MOST_JSON = 64 << 20
"""Largest file of measurements that is read, in bytes."""


class RunError(RuntimeError):
    """A run folder cannot be used as asked; the message says why and what to do."""


# Which folders this process holds; record locks do not keep a process from locking a file twice.
_HELD: weakref.WeakValueDictionary[tuple[int, Path], Run] = weakref.WeakValueDictionary()


class Run:
    """The folder of one run.

    ============================  =====================================================================
    ``config.yaml``               method, hyper-parameters, data and training settings, environment
    ``data.txt``                  what was found in the data
    ``data.tsv``                  the data's fingerprint (:mod:`nearfar.sources.fingerprint`), where they are files
    ``skipped.tsv``               which examples are left out, and why
    ``metrics.csv``               one row per logged step
    ``cost.json``                 what training took: seconds, memory, on what
    ``checkpoints/``              see :mod:`nearfar.training.checkpoint`
    ``kept.safetensors``          all weights that the trained system needs, where that is more than its encoder
    ``encoder.safetensors``       the encoder's weights; one of the two is written last, when the run is complete
    ``evaluation.json``           what ``nearfar evaluate`` measured
    ``report.html``               one page for people
    ``explore.parquet``           what ``nearfar explore`` opens
    ``classifier.npz``            what ``nearfar classify --labels`` fitted
    ``classifier.safetensors``    the encoder that it fine-tuned, with ``--finetune``
    ============================  =====================================================================

    A folder may come from elsewhere. Files are written beside their place and renamed into it, or opened without
    following links, and ``checkpoints`` must be a folder of its own, so that nothing outside of it is changed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock: ExitStack | None = None
        self._parsed: tuple[tuple[int, int, int], dict[str, Any]] | None = None

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
        if self.checkpoints.is_symlink() or (self.checkpoints.exists() and not self.checkpoints.is_dir()):
            raise RunError(
                f"{self.checkpoints} is a link or no folder, and nothing is written outside of a run's folder; put the "
                "folder that it leads to in its place"
            )
        if self._lock is None:
            held = ExitStack()
            try:
                handle = held.enter_context(appending(self.path / ".lock"))
            except OSError as error:
                raise RunError(f"the run folder {self.path} cannot be written: {reason(error)}") from error
            try:
                # A record lock, because a loader's workers would inherit any other and outlive a killed run with it.
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                held.close()
                raise RunError(
                    f"{self.path} is in use by another process; wait for it or choose another --out"
                ) from error
            self._lock = held
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
    def data_path(self) -> Path:
        return self.path / "data.tsv"

    @property
    def encoder_path(self) -> Path:
        return self.path / "encoder.safetensors"

    @property
    def kept_path(self) -> Path:
        return self.path / "kept.safetensors"

    @property
    def config(self) -> dict[str, Any]:
        """What ``config.yaml`` says, parsed again only where the file is another; a copy, to be changed freely."""
        try:
            found = os.stat(self.config_path)
            mark = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._parsed is None or self._parsed[0] != mark:
                self._parsed = mark, self._checked(read_settings(self.config_path))
        except ValueError as error:
            raise RunError(str(error)) from error
        return copy.deepcopy(self._parsed[1])

    def _checked(self, config: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(config.get("method"), str):
            raise RunError(f"{self.config_path} does not describe a run: it names no method")
        for part in ("hyperparameters", "data", "training", "environment"):
            if not isinstance(config.get(part, {}), dict):
                raise RunError(f"{self.config_path}: {part} must be settings by name, got {config[part]!r}")
        return config

    def latest_checkpoint(self) -> Path | None:
        return latest_checkpoint(self.checkpoints) if self.checkpoints.is_dir() else None

    @property
    def complete(self) -> bool:
        return self.encoder_path.is_file() or self.kept_path.is_file()

    # Results ----------------------------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> Path:
        with atomic_write(self.path / name, "w") as file:
            file.write(text)
        return self.path / name

    def write_config(self, config: Mapping[str, Any]) -> Path:
        return self.write_text("config.yaml", dump_settings(config))

    def write_json(self, name: str, content: Any) -> Path:
        return self.write_text(name, json.dumps(content, indent=2, allow_nan=True) + "\n")

    def read_json(self, name: str) -> Any:
        """What a JSON file of the run holds, ``None`` where there is none.

        Raises:
            RunError: it is damaged.
        """
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(read_whole(path, MOST_JSON))
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"{path} is damaged and cannot be read as JSON ({error}); remove it, and measure again"
            ) from error


def held_here(path: Path) -> bool:
    """Whether a run of this process holds a folder."""
    return (os.getpid(), path.resolve()) in _HELD


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
        "processes": os.environ.get("WORLD_SIZE", "1"),
    }


def free_folder(wanted: Path) -> Path:
    """``wanted``, or ``wanted-2``, ``wanted-3``, ... whichever is free first."""
    candidate, number = wanted, 2
    while candidate.exists():
        candidate, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return candidate
