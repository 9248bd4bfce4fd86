"""Runs are made of what nearfar put there, and leave the process as they found it."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import random
import warnings
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from nearfar.training import Training, fit
from tests.toy import Toy, Vectors

SETTINGS = Training(steps=2, batch_size=16, monitor_every=1)


class PlugIn(L.Callback):
    """What another package would add to every Trainer."""

    def on_train_batch_start(self, *_: Any) -> None:
        raise AssertionError("a plug-in of another package takes part in the run")


def factory() -> list[L.Callback]:
    return [PlugIn()]


@pytest.mark.filterwarnings("ignore")
def test_plug_ins_of_other_packages_take_no_part(monkeypatch: Any) -> None:
    group = "lightning.pytorch.callbacks_factory"
    fake = importlib.metadata.EntryPoint("fake", "tests.training.test_alone:factory", group)
    found = importlib.metadata.entry_points

    def with_the_fake(**wanted: Any) -> Any:
        return [fake] if wanted.get("group") == group else found(**wanted)

    for place in ("lightning.fabric.utilities.registry", "importlib.metadata"):
        monkeypatch.setattr(f"{place}.entry_points", with_the_fake, raising=False)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    assert any(isinstance(c, PlugIn) for c in L.Trainer(**quiet).callbacks)  # type: ignore[arg-type, attr-defined]
    fit(Toy(), Vectors(32), SETTINGS, progress=False)
    assert any(isinstance(c, PlugIn) for c in L.Trainer(**quiet).callbacks)  # type: ignore[arg-type, attr-defined]


def _state() -> dict[str, Any]:
    logger = logging.getLogger("lightning.pytorch")
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "python": random.getstate(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "threads": torch.get_num_threads(),
        "logging": logger.level,
    }


def test_a_run_leaves_the_process_as_it_found_it() -> None:
    torch.manual_seed(11)
    method = Toy()
    before = _state()
    fit(method, Vectors(32), SETTINGS, progress=False)
    after = _state()
    assert [name for name in before if before[name] != after[name]] == []
