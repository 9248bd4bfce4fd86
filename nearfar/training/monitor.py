"""Watching a run's health while it happens: collapse, and how good the representation is so far."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np

from nearfar.evaluation import effective_rank, feature_std, knn
from nearfar.sources.data import Data
from nearfar.sources.labels import known
from nearfar.training.embed import embed
from nearfar.training.method import Method
from nearfar.training.steps import step_ends

RANK = "centred_rank"
"""Not ``effective_rank``, which evaluations measure of rows as they are."""


class CollapseWarning(UserWarning):
    """Embeddings have lost almost all their dimensions."""


class OverfittingWarning(UserWarning):
    """Held-out examples are understood worse than earlier in the run."""


class Monitor(L.Callback):
    """Before the first step and every ``every`` steps, embeds a fixed sample of the training data and logs

    - ``monitor/centred_rank``: :func:`nearfar.evaluation.effective_rank` of the centred rows, in [1, D];
    - ``monitor/std``: :func:`nearfar.evaluation.feature_std` relative to 1 / sqrt(D): near 1 when the rows
      spread over the sphere, 0 when they collapse to a point;
    - ``monitor/knn``: weighted kNN accuracy within the sample, where labels are present;
    - what :meth:`nearfar.training.Method.watched` adds.

    It warns once (:class:`CollapseWarning`) when, at two measurements in a row, the rank is below ``alarm_rank`` and
    below half of what it was before training, or the spread below ``alarm_std`` and below a quarter of that. (One
    measurement alone may meet batch-norm statistics that have not settled.) It draws no random numbers and
    leaves the run bit for bit as it would have been. It warns once (:class:`OverfittingWarning`) when ``held_out``, of
    what the method adds, is below nine tenths of its best at two measurements in a row.

    Args:
        data: a fixed sample of at most ``size`` examples of it is watched.
        every: steps between measurements; the last step always has one.
        record: also called with (step, values), for a log of one's own.
    """

    def __init__(
        self,
        data: Data,
        every: int,
        *,
        size: int = 1024,
        alarm_rank: float = 1.5,
        alarm_std: float = 0.02,
        record: Callable[[int, dict[str, float]], None] | None = None,
    ) -> None:
        self.data, self.whole = data.sample(size), data
        self.every = max(every, 1)
        self.alarm_rank, self.alarm_std = alarm_rank, alarm_std
        self.record = record
        self.latest: dict[str, float] = {}
        self._start = {RANK: float("inf"), "std": float("inf")}
        self._bad = 0
        self._warned = False
        self._best = [0.0, 0.0, 0.0]
        """The best of ``held_out``, its step, and how many measurements in a row were far below it; -1 once said."""

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, Method)
        if _measures(trainer, module) and trainer.global_step == 0:
            self._start = self.measure(module)
            self._say(trainer, 0, self._start)

    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start, "bad": self._bad, "warned": self._warned, "best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        start = dict(state["start"])
        if "effective_rank" in start:  # what it was called before
            start[RANK] = start.pop("effective_rank")
        self._start, self._bad, self._warned = start, state["bad"], state["warned"]
        self._best = list(state.get("best", self._best))

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if (
            _measures(trainer, module)
            and step_ends(trainer, batch_idx)
            and (step % self.every == 0 or step == trainer.max_steps)
        ):
            assert isinstance(module, Method)
            self.latest = self.measure(module)
            self._say(trainer, step, self.latest)
            if not trainer.is_global_zero:
                return
            if module.can_collapse:
                self._alarm(step)
            if "held_out" in self.latest:
                self._compare(step, self.latest["held_out"])

    def _say(self, trainer: L.Trainer, step: int, found: dict[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        named = {f"monitor/{k}": v for k, v in found.items()}
        if self.record is not None:
            self.record(step, named)
        for logger in trainer.loggers:
            logger.log_metrics(named, step=step)

    def measure(self, method: Method) -> dict[str, float]:
        with method.assembled():
            return self._measured(method)

    def _measured(self, method: Method) -> dict[str, float]:
        embeddings = embed(method, self.data)
        x, y = embeddings.array, embeddings.labels
        if not np.isfinite(x).all():
            return {RANK: float("nan"), "std": float("nan")}
        found = {
            # Centred, because features after a ReLU share a direction that says nothing of collapse.
            RANK: effective_rank(x - x.mean(0)),
            "std": feature_std(x, relative=True),
        }
        if y is not None:
            x, y = x[known(y)], y[known(y)]
        bank = np.arange(len(x)) % 4 != 0
        if y is not None and len(x) > bank.sum() and len(np.unique(y[bank])) > 1:
            k = min(20, int(bank.sum()))
            found["knn"] = knn(x[bank], y[bank], x[~bank], y[~bank], k=k)
        return {**found, **method.watched(self.whole)}

    def _compare(self, step: int, held_out: float) -> None:
        best, at, below = self._best
        if held_out >= best:
            self._best = [held_out, float(step), min(below, 0.0)]
            return
        below = below if below < 0 else below + 1 if held_out < 0.9 * best else 0.0
        if below >= 2:
            warnings.warn(
                f"What is held out is understood worse than before: {held_out:.3f} at step {step}, {best:.3f} at step "
                f"{int(at)}. The run learns its examples by heart; train for fewer steps, with a lower rate, or with "
                "more examples.",
                OverfittingWarning,
                stacklevel=2,
            )
            below = -1.0
        self._best = [best, at, below]

    def _alarm(self, step: int) -> None:
        rank, std = self.latest[RANK], self.latest["std"]
        healthy_rank = min(self.alarm_rank, self._start[RANK] / 2)
        healthy_std = min(self.alarm_std, self._start["std"] / 4)
        # Written so that NaN raises the alarm too.
        self._bad = 0 if rank >= healthy_rank and std >= healthy_std else self._bad + 1
        if self._bad >= 2 and not self._warned:
            self._warned = True
            warnings.warn(
                f"The representation has collapsed at step {step}: effective rank {rank:.2f}, spread {std:.3f} "
                "(1 is healthy). Lower the learning rate, or check the predictor, the stop-gradient and the "
                "normalisation of the heads.",
                CollapseWarning,
                stacklevel=2,
            )


def _measures(trainer: L.Trainer, module: L.LightningModule) -> bool:
    """The first process measures; all of them where each holds a part of the parameters."""
    assert isinstance(module, Method)
    return trainer.is_global_zero or module.shards is not None
