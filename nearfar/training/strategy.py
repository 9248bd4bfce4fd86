"""What the processes of a run hold: copies of everything, or parts of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy

from nearfar.training.method import Method

if TYPE_CHECKING:
    from nearfar.training.fit import Training


def strategy_of(method: Method, training: Training, world: int) -> Strategy | str:
    """Lightning's strategy for ``training.strategy`` on ``world`` processes.

    Raises:
        ValueError: parameters of ``method`` cannot be held in parts; the message says why.
    """
    if world == 1:
        return "auto"
    if training.strategy == "ddp":
        # Phases: not every parameter has a part in every step, which the exchange of gradients must know.
        return DDPStrategy(find_unused_parameters=bool(method.phases))
    from torch.distributed.fsdp import FSDPModule

    from nearfar.training.sharded import Sharded

    if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
        raise ValueError(f"fsdp2 needs torch 2.8 or newer, and this is {torch.__version__}; train with --strategy ddp")
    if not method.automatic_optimization:
        raise ValueError(
            f"{type(method).__name__} makes several updates in a step, each of some of its parameters, which fsdp2 "
            "cannot tell apart; train it with --strategy ddp"
        )
    return Sharded()


@contextmanager
def understood(method: Method, strategy: Strategy | str) -> Iterator[None]:
    """Within this block a step that met a part of a parameter where it needs all of it says what to do instead."""
    name = type(method).__name__
    try:
        yield
    except (RuntimeError, AssertionError, NotImplementedError, AttributeError, TypeError) as error:
        parts = not isinstance(strategy, str) and type(strategy).__name__ == "Sharded"
        if not parts or not any(word in str(error) for word in ("DTensor", "FSDP", "fully_shard", "placement")):
            raise
        raise ValueError(
            f"{name} uses parameters of a block outside of it, copies its networks while it trains or changes which of "
            "them learn, and fsdp2 holds them in parts then; train it with --strategy ddp"
        ) from error
