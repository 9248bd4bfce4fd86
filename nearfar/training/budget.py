"""A budget of time that a run keeps to on a machine that becomes slower than it was when its steps were timed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L

from nearfar.common.durations import in_time
from nearfar.training.method import Method
from nearfar.training.steps import step_ends

WARNED, DECIDED = 0.3, 0.8
"""Of the budget, after which a run that will not keep to it is said to be late, and is shortened."""

LATE = 1.05
"""A run is late when it would take so many times its budget."""

KEPT = 0.97
"""Of the budget, at which a shortened run ends; the rest is for its last measurements and its weights."""

LEAST_STEPS = 20
"""No run is shortened to fewer steps."""

Shortened = tuple[int, int]
"""The step after which the rates begin to fall, and the one after which the run ends."""


@dataclass
class Limit:
    """What holds a run to its budget.

    Attributes:
        seconds: the budget; ``None`` for a run that is only to repeat what was decided for another.
        spent: seconds of it that were over when training began: for loading, for timing, for earlier sittings.
        shortened: what was decided already.
        keep: called with the decision, before it takes effect.
    """

    seconds: float | None = None
    spent: float = 0.0
    shortened: Shortened | None = None
    keep: Callable[[Shortened], None] = lambda decided: None


class Budget(L.Callback):
    """Shortens a run that is late, once, when :data:`DECIDED` of its budget is over.

    From the step of the decision to the new end every learning rate is what its schedule says times a factor that falls
    linearly from 1, so that the weights come to rest as they would at the planned end. The clock decides, so the
    decision is written down (``shortened`` in ``config.yaml``) before it takes effect: a run that is resumed or
    repeated from there makes the same steps at the same rates, whatever its clock says.

    Runs of several phases or tasks, which would lose their last ones, and of several processes, whose clocks differ,
    are never shortened. Comes before the callbacks that ask for the run's last step.

    Args:
        limit: the budget, and what was decided already.
        say: told of a run that is late, and of the decision.
    """

    def __init__(self, limit: Limit, say: Callable[[str], None]) -> None:
        self.limit, self.say = limit, say
        self._begun = 0.0
        self._ends: deque[tuple[float, int]] = deque(maxlen=50)
        self._warned = False

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, Method)
        module.slowing = 1.0
        self._begun = time.perf_counter()
        self._ends.append((self._begun, trainer.global_step))

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.limit.shortened is None:
            return
        assert isinstance(module, Method)
        since, end = self.limit.shortened
        step = batch_idx // trainer.accumulate_grad_batches
        if step >= since:
            trainer.fit_loop.epoch_loop.max_steps = end
            module.slowing = (end - step) / (end - since)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        budget, step, total = self.limit.seconds, trainer.global_step, trainer.max_steps
        if budget is None or self.limit.shortened is not None or not step_ends(trainer, batch_idx) or step >= total:
            return
        now = time.perf_counter()
        self._ends.append((now, step))
        over = self.limit.spent + now - self._begun
        if over < WARNED * budget:
            return
        (since, first), (_, last) = self._ends[0], self._ends[-1]
        each = (now - since) / max(last - first, 1)
        takes = over + each * (total - step)
        if takes <= LATE * budget:
            return
        if not self._warned:
            self._warned = True
            self.say(
                f"slower than when the steps were timed: {total:,} would take {in_time(takes)} at this pace, and the "
                f"budget is {in_time(budget)}"
            )
        if over < DECIDED * budget:
            return
        end = max(step + max(int((KEPT * budget - over) / each), 1), LEAST_STEPS)
        if end < total:
            self.limit.keep((step, end))
            self.limit.shortened = (step, end)
            self.say(f"to keep to {in_time(budget)} it ends after step {end:,} of {total:,}, with rates that fall to 0")
