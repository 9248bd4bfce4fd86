"""Rehearsals: commands that are tried out before they are run in earnest.

With ``NEARFAR_REHEARSAL=1`` every training is cut to the smallest there is, whatever its command says.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, TypeVar

VARIABLE = "NEARFAR_REHEARSAL"
STEPS = 4
"""Steps of a system whose row says nothing of its smallest training."""
BATCH = 16
"""Its examples in a batch, likewise."""

T = TypeVar("T")


def smallest(laptop: Mapping[str, Any], tiny: Mapping[str, Any]) -> dict[str, Any]:
    """A row's settings for the smallest training there is, which has a length also where the row names none.

    Args:
        laptop, tiny: of :class:`nearfar.system.Entry`.
    """
    length = {"steps", "epochs"}
    small = dict(tiny) if length & set(tiny) else {"steps": STEPS, "batch_size": BATCH, **tiny}
    return {**{name: value for name, value in laptop.items() if name not in length}, **small}


def rehearsing() -> bool:
    """Whether this process only rehearses."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def cut(training: T, tiny: Mapping[str, Any]) -> T:
    """A training's settings; in a rehearsal no longer and no wider than the row's smallest training.

    Args:
        training: :class:`nearfar.training.Training`.
        tiny: the row's smallest training, :attr:`nearfar.system.Entry.tiny`.
    """
    if not rehearsing():
        return training
    small: dict[str, Any] = {"steps": STEPS, "batch_size": BATCH, **tiny}
    given = dataclasses.asdict(training)  # type: ignore[call-overload]
    changes: dict[str, Any] = {"epochs": None}
    for name in ("steps", "batch_size"):
        most = small[name] or STEPS
        changes[name] = min(given[name], most) if isinstance(given[name], int) else most
    return dataclasses.replace(training, **changes)  # type: ignore[type-var]
