"""Changed settings of the optimiser, taking effect on resume."""

from __future__ import annotations

from typing import Any

import lightning as L


class Reconfigured(L.Callback):
    """Lets changed settings of the optimiser take effect on resume.

    A checkpoint brings the learning rate, the weight decay and the momentum it was made with back with the
    optimiser's state. This keeps the state and puts the configured values in their place.
    """

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._configured = [
            [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            for optimizer in trainer.optimizers
        ]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        for optimizer, configured in zip(trainer.optimizers, self._configured, strict=True):
            for group, values in zip(optimizer.param_groups, configured, strict=True):
                group.update(values)
        for entry in trainer.lr_scheduler_configs:
            scheduler: Any = entry.scheduler
            scheduler.base_lrs = [group["initial_lr"] for group in scheduler.optimizer.param_groups]
            for group, base, rate in zip(
                scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = base * rate(scheduler.last_epoch)
