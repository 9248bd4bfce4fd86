"""A run keeps to its budget on a machine that became slower, and repeats and resumes all the same."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nearfar import workflow
from nearfar.runs.checkpoints import checkpoint_step
from nearfar.runs.run import Run, RunError
from nearfar.training import Training
from nearfar.training.budget import Limit
from nearfar.training.signals import Stopped

SMALL = {"encoder": "small-conv", "projection_hidden": 8, "projection_dim": 4}


class Clock:
    """A second passes between two steps; after ``signalled`` of them the process is asked to stop."""

    def __init__(self, signalled: int = -1) -> None:
        self.now, self.signalled = -1, signalled

    def perf_counter(self) -> float:
        self.now += 1
        if self.now == self.signalled:
            os.kill(os.getpid(), signal.SIGTERM)
        return float(self.now)


def trained(out: Path, limit: Limit | None, **settings: Any) -> Run:
    training = Training(steps=40, batch_size=8, monitor_every=-1, **settings)
    options = {"data_options": {"size": 16}, "arguments": SMALL, "progress": False}
    _, run = workflow.train("simclr", out=out, training=training, limit=limit, **options)
    assert run is not None
    return run


def same(one: Run, other: Run) -> None:
    first, second = load_file(one.encoder_path), load_file(other.encoder_path)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(signalled: int = -1) -> None:
        monkeypatch.setattr("nearfar.training.budget.time", SimpleNamespace(perf_counter=Clock(signalled).perf_counter))

    return put


def test_only_a_late_run_is_shortened_and_it_repeats_and_resumes_to_the_bit(tmp_path: Path, clock: Any) -> None:
    clock()
    run = trained(tmp_path / "late", Limit(28.0, spent=3.0))
    # 20 seconds after its begin 23 of 28 are over, and 4.16 are left to the 97 hundredths.
    assert run.config["shortened"] == [20, 24]
    assert run.config["budget"] == 28.0
    assert run.read_json("cost.json")["steps"] == 24
    assert run.complete

    repeated = trained(tmp_path / "again", workflow.running.limit_of({"shortened": [20, 24]}))
    same(run, repeated)

    clock(signalled=20)
    with pytest.raises(Stopped, match="after step 20, which is saved"):
        trained(tmp_path / "stopped", Limit(28.0, spent=3.0), checkpoint_every=18)
    stopped = tmp_path / "stopped"
    shutil.copytree(stopped, tmp_path / "earlier")
    next((tmp_path / "earlier/checkpoints").glob("*20.ckpt")).unlink()
    clock()
    for name in ("stopped", "earlier"):  # after the decision, and from a step before it
        _, resumed = workflow.resume_run(tmp_path / name, progress=False)
        assert checkpoint_step(resumed.latest_checkpoint()) == 24
        same(run, resumed)

    clock()
    whole = trained(tmp_path / "whole", Limit(60.0))
    assert "shortened" not in whole.config
    assert whole.read_json("cost.json")["steps"] == 40
    with pytest.raises(AssertionError):
        same(run, whole)


@pytest.mark.parametrize("decided", [[1], [5, 5], ["1", 2], "1, 2", [0, 4]])
def test_a_decision_that_is_none_is_refused(decided: Any) -> None:
    with pytest.raises(RunError, match="shortened must be two steps, one after the other"):
        workflow.running.limit_of({"shortened": decided})
