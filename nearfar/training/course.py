"""What a run goes through: its start, its epochs, its phases, its tasks, told to the method as they come."""

from __future__ import annotations

from typing import Any

import lightning as L

from nearfar.sources.data import StepSampler
from nearfar.sources.tasks import Tasks
from nearfar.training.method import Method
from nearfar.training.steps import phase_at


class Course(L.Callback):
    """Calls a method's ``begin_epoch``, ``begin_phase`` and ``begin_task`` before the step at which each begins.

    Which step that is depends on the step's number alone, so that a resumed run is told what is left and nothing twice.

    Args:
        data: what the run learns from, handed to the method.
        sampler: whose epochs they are; ``None`` for a source that has none.
        accumulate: batches in a step.
        resumed: whether the run continues from a checkpoint.
    """

    def __init__(self, data: Any, sampler: StepSampler | None, accumulate: int, *, resumed: bool) -> None:
        self.data, self.sampler, self.accumulate, self.resumed = data, sampler, accumulate, resumed

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self.resumed:
            assert isinstance(module, Method)
            with module.assembled():
                module.resumed(self.data)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        assert isinstance(module, Method)
        step, within = divmod(batch_idx, self.accumulate)
        if within == 0:
            if isinstance(self.data, Tasks):
                stages = self.data.stages(trainer.max_steps * self.accumulate, self.accumulate)
                for number, first in enumerate(stages):
                    if first == batch_idx:
                        with module.assembled():
                            module.begin_task(number, self.data.tasks[number])
            self._begin_phase(module, step, trainer.max_steps)
        if self.sampler is not None:
            epoch, begins = self.sampler.epoch_at(batch_idx)
            if begins and type(module).begin_epoch is not Method.begin_epoch:
                with module.assembled():
                    module.begin_epoch(self.data, epoch)

    def _begin_phase(self, module: Method, step: int, total: int) -> None:
        if not module.phases:
            return
        now = phase_at(module.phases, step, total)
        if step == 0 or phase_at(module.phases, step - 1, total) != now:
            with module.assembled():
                module.begin_phase(module.phases[now].name, self.data)
