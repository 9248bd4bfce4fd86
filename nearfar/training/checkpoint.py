"""Saving checkpoints while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L

from nearfar.common.files import StorageError, reason
from nearfar.runs.checkpoints import SafeCheckpointIO, checkpoint_path, checkpoint_step
from nearfar.training.nonfinite import refuse_non_finite_weights
from nearfar.training.steps import step_ends


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
        if step_ends(trainer, batch_idx) and trainer.global_step % self.every == 0:
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
        self._refuse_to_save_nowhere(trainer, step)
        try:
            if self.before is not None:
                self.before()
            trainer.save_checkpoint(checkpoint_path(self.folder, step))
        except OSError as error:
            self._refuse_to_save_nowhere(trainer, step)
            kept = f"step {self._saved} is safe" if self._saved > 0 else "no step was saved before"
            raise StorageError(
                f"step {step} could not be saved in {self.folder}: {reason(error)}; {kept}. Make room, then continue "
                f"with `nearfar resume {self.folder.parent}`"
            ) from error
        self._saved = step
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("step-*.ckpt"))[: -self.keep]:
                SafeCheckpointIO().remove_checkpoint(old)

    def _refuse_to_save_nowhere(self, trainer: L.Trainer, step: int) -> None:
        """A run's folder may go at any moment, so this is asked before a step is written and when it could not be."""
        if trainer.is_global_zero and not (self.folder.parent / "config.yaml").is_file():
            raise StorageError(
                f"the run folder {self.folder.parent} has disappeared; step {step} could not be saved, and nothing of "
                "the run is left. Start it again with another --out"
            )
