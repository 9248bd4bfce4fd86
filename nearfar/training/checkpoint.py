"""Checkpoints that are complete or absent, verified when read, and never execute code."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from nearfar.training.files import StorageError, atomic_write, reason
from nearfar.training.nonfinite import refuse_non_finite_weights

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
        content = path.read_bytes()
        expected = _digest_path(path).read_text().split()[0]
    except (OSError, IndexError) as error:
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


class Checkpointing(L.Callback):
    """Saves every ``every`` steps and at the end, keeping the newest ``keep``.

    Args:
        folder: where they go.
        every: steps between two checkpoints, at least 1.
        keep: how many are kept, at least 2, so that a torn newest one costs one interval only.
        before: called before each save; brings other files up to the step of the weights.
        settings: what the run was trained with, kept in every checkpoint as ``nearfar``.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        keep: int = 2,
        before: Callable[[], None] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if every < 1 or keep < 2:
            raise ValueError(f"every must be at least 1 and keep at least 2, got every={every}, keep={keep}")
        self.folder, self.every, self.keep = folder, every, keep
        self.before = before
        self.settings = dict(settings or {})
        self._saved = -1

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._saved = trainer.global_step if trainer.global_step else -1
        if trainer.is_global_zero:
            # A checkpoint from after the one that the run continues from was passed over because it is damaged.
            for damaged in self.folder.glob("step-*.ckpt"):
                if checkpoint_step(damaged) > trainer.global_step:
                    damaged.rename(damaged.with_name(f"damaged-{damaged.name}"))

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["nearfar"] = self.settings

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        between_steps = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if between_steps and trainer.global_step % self.every == 0:
            self.save(trainer)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write the checkpoint of this step, once, and remove the oldest.

        Raises:
            StorageError: it could not be written; those written before are intact.
            NonFiniteError: the weights are no numbers any more.
        """
        step = trainer.global_step
        if step == self._saved:
            return
        refuse_non_finite_weights(trainer.lightning_module, step)
        if trainer.is_global_zero and not (self.folder.parent / "config.yaml").is_file():
            raise StorageError(
                f"the run folder {self.folder.parent} has disappeared; step {step} could not be saved, and nothing of "
                "the run is left. Start it again with another --out"
            )
        try:
            if self.before is not None:
                self.before()
            trainer.save_checkpoint(checkpoint_path(self.folder, step))
        except OSError as error:
            kept = f"step {self._saved} is safe" if self._saved > 0 else "no step was saved before"
            raise StorageError(
                f"step {step} could not be saved in {self.folder}: {reason(error)}; {kept}. Make room, then continue "
                f"with `nearfar resume {self.folder.parent}`"
            ) from error
        self._saved = step
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("step-*.ckpt"))[: -self.keep]:
                SafeCheckpointIO().remove_checkpoint(old)
