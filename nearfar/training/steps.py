"""What a run and a step are made of, where they have several parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
from torch import Tensor, nn

from nearfar.training.optimization import Optimization

Terms = Tensor | Mapping[str, Tensor]
"""One scalar, or named scalars whose sum is the loss."""


@dataclass(frozen=True)
class Phase:
    """A part of a run that differs from the others.

    Attributes:
        name: what it is called in :attr:`Method.phase` and in ``metrics.csv``.
        share: its length as a share of the run, in [0, 1]; the last phase takes what the others leave.
        lr_scale: multiplies every rate in it.
    """

    name: str
    share: float = 1.0
    lr_scale: float = 1.0


@dataclass(frozen=True)
class Update:
    """One of several updates in a step, each with its own parameters and optimiser, made in the order given.

    Attributes:
        name: begins the names of its terms in the log.
        parameters: what it moves. Parameters of other updates get no gradient from it.
        loss: as :meth:`Method.loss`, of the step's views; called anew for each update, after the updates before it.
        optimization: how its parameters move.
        every: it is made in every so many steps, from the first.
        repeat: so many times in a row, on the same views.
    """

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Any], Terms]
    optimization: Optimization
    every: int = 1
    repeat: int = 1


def phase_at(phases: tuple[Phase, ...], step: int, total: int) -> int:
    """Which of ``phases`` the step belongs to."""
    end = 0.0
    for position, phase in enumerate(phases[:-1]):
        end += phase.share
        if step < round(end * total):
            return position
    return len(phases) - 1


def step_ends(trainer: L.Trainer, batch_idx: int) -> bool:
    """Whether the batch is the last of its optimiser step; Lightning calls back after every one of them."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0
