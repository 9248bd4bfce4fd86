"""Runs that can learn nothing: noticed in their first steps, by the gradient, and refused in a sentence."""

from __future__ import annotations

from typing import Any

import lightning as L

from nearfar.training.method import Method

STEPS = 3
"""Steps from the start whose gradients are all exactly 0 before a run is refused; fewer where it has fewer."""


class NothingToLearn(L.Callback):
    """Refuses a run whose first steps give no weight any gradient.

    A loss that tells examples apart is a constant where there is nothing to tell: in batches of one example, of
    sentences that are all held for the same, of rows with one column. It is noticed by what all of these have in
    common, whatever the field: no parameter has a slope that is more than rounding. It is for runs that begin, not for
    those that go on.

    Args:
        name: what the data are called.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        assert isinstance(module, Method)
        if module.guard.learns or module.guard.still < min(STEPS, trainer.max_steps):
            return
        examples = (module.examples_per_step or 1) // trainer.accumulate_grad_batches
        loss = trainer.callback_metrics.get("train/loss")
        value = "" if loss is None else f" (it is {float(loss):.4g})"
        why = (
            "a batch holds one example, and there is nothing to tell it from; raise the batch size, or give more data"
            if examples == 1
            else f"it finds nothing to tell apart in batches of {examples:,}; give data that differ, or more"
        )
        raise ValueError(
            f"{type(module).__name__} learns nothing from {self.name}: its loss{value} gives no weight a gradient, "
            f"because {why}"
        )
