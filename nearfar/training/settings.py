"""What a run was trained with and what it is to go on with: the differences, and how they take effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L

# Settings that change what is written and how fast, but no weight.
FREE = ("training.workers", "training.checkpoint_every", "training.monitor_every", "training.log_every")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings of ``config.yaml`` that decide a run's weights and differ, by dotted name, as (before, after)."""
    parts = ("method", "hyperparameters", "data", "training")
    old, new = ({**flatten({k: v for k, v in s.items() if k in parts})} for s in (before, after))
    names = [*new, *(name for name in old if name not in new)]
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n) and n not in FREE}


def in_words(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """``temperature was 0.2 and is 0.5; ...``"""
    short = (name.removeprefix("hyperparameters.").removeprefix("training.") for name in changed)
    return "; ".join(
        f"{name} was {was!r} and is {now!r}" for name, (was, now) in zip(short, changed.values(), strict=True)
    )


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
