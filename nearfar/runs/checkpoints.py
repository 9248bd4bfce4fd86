"""Checkpoint files that are complete or absent, verified when read, and never execute code."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from nearfar.common.files import atomic_write, read_whole
from nearfar.common.memory import memory

_NAME = re.compile(r"step-(\d{9})\.ckpt$")


class CheckpointError(RuntimeError):
    """A checkpoint is damaged, incomplete or holds something that is not plain data."""


class SafeCheckpointIO(CheckpointIO):
    """Writes atomically with a ``sha256sum`` file beside it; reads only tensors and plain containers."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        memory = io.BytesIO()
        torch.save(checkpoint, memory)
        content = memory.getbuffer()
        # The checksum comes first: a process killed between the two leaves no checkpoint that lacks one.
        with atomic_write(_digest_path(path), "w") as file:
            file.write(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
        with atomic_write(path) as file:
            file.write(content)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        path = Path(path)
        content = _verified(path)
        try:
            return torch.load(io.BytesIO(content), map_location=map_location or "cpu", weights_only=True)
        except Exception as error:
            raise CheckpointError(
                f"{path} was refused: it holds something other than tensors and plain containers ({error})"
            ) from error

    def remove_checkpoint(self, path: Any) -> None:
        path = Path(path)
        path.unlink(missing_ok=True)
        _digest_path(path).unlink(missing_ok=True)


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _verified(path: Path) -> bytes:
    try:
        content = read_whole(path, memory())
        expected = read_whole(_digest_path(path), 4096).decode().split()[0]
    except (OSError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path} is incomplete: {error}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise CheckpointError(f"{path} is damaged: its content does not match {_digest_path(path).name}")
    return content


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}.ckpt"


def checkpoint_step(path: Path) -> int:
    match = _NAME.search(path.name)
    if match is None:
        raise ValueError(f"{path} is not named like a checkpoint (step-000000000.ckpt)")
    return int(match.group(1))


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in ``folder`` that is whole; damaged ones are passed over with a warning."""
    candidates = sorted((p for p in folder.glob("step-*.ckpt") if _NAME.search(p.name)), reverse=True)
    for path in candidates:
        try:
            _verified(path)
            return path
        except CheckpointError as error:
            older = candidates[candidates.index(path) + 1 :]
            use = f"the one before it, {older[0].name}, is used" if older else "the run starts from its beginning"
            warnings.warn(f"{error}; {use}", stacklevel=2)
    return None
