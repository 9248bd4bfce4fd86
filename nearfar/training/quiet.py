"""Lightning without its start-up notes, and without what other packages add to it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.trainer.connectors import callback_connector


@contextmanager
def no_plug_ins() -> Iterator[None]:
    """Within this block a Trainer loads no callbacks that other installed packages register with Lightning: a run is
    made of what nearfar put there, whatever else is installed."""
    before = callback_connector._load_external_callbacks
    callback_connector._load_external_callbacks = lambda group: []
    try:
        yield
    finally:
        callback_connector._load_external_callbacks = before


_TALKATIVE = (
    "lightning.pytorch",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
)


class Quiet:
    """Lightning's start-up notes say nothing that a run folder does not."""

    def __enter__(self) -> None:
        self._loggers = [logging.getLogger(n) for n in _TALKATIVE]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)
        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*Detected call of `lr_scheduler.step.*")

    def __exit__(self, *exception: Any) -> None:
        self._catch.__exit__(*exception)
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
