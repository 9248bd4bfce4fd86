"""What a step is when several batches make one: queues, health checks and the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.parts import FeatureQueue
from nearfar.runs.metrics import read_metrics
from nearfar.training import Monitor, Optimization, Run, Training, fit
from nearfar.vision.data import ImageArray
from nearfar.vision.methods import MoCo, SwAV
from tests.toy import Toy, Vectors

IMAGES = ImageArray(np.random.default_rng(0).integers(0, 255, (32, 16, 16, 3)).astype(np.uint8))
SGD = Optimization("sgd", lr=0.01)


class Keeping(Toy):
    """Writes down what every step collected."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.steps: list[Tensor] = []
        self.spoiled: set[int] = set()
        self.batches = 0

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        self.collect(rows=views[0])
        self.batches += 1
        return super().loss(views) * (float("nan") if self.batches in self.spoiled else 1.0)

    def after_step(self) -> None:
        super().after_step()
        self.steps.append(self.collected("rows"))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_step_has_the_rows_of_all_of_its_batches(accumulate: int) -> None:
    method = Keeping()
    fit(method, Vectors(64), Training(steps=4, batch_size=8, accumulate=accumulate, monitor_every=-1), progress=False)
    assert [len(rows) for rows in method.steps] == [8 * accumulate] * 4
    assert len(torch.unique(torch.cat(method.steps), dim=0)) == 32 * accumulate


def test_batches_that_are_left_out_give_no_rows() -> None:
    method = Keeping()
    method.spoiled = {2, 4, 5, 6}
    settings = Training(steps=2, batch_size=8, accumulate=3, monitor_every=-1, non_finite="skip")
    fit(method, Vectors(64), settings, progress=False)
    assert [len(rows) for rows in method.steps] == [16]  # one of three left out, then all of three


@pytest.mark.parametrize(
    "build",
    [
        lambda: MoCo("small-conv", projection_dim=8, queue_size=256, key_groups=1, optimization=SGD),
        lambda: SwAV(
            "small-conv",
            hidden=8,
            projection_dim=8,
            prototypes=6,
            small_crops=0,
            queue_size=256,
            queue_start=0.0,
            optimization=SGD,
        ),
    ],
    ids=["moco", "swav"],
)
def test_queues_take_every_batch(build: Any, monkeypatch: Any) -> None:
    taken: list[int] = []
    enqueue = FeatureQueue.enqueue
    monkeypatch.setattr(FeatureQueue, "enqueue", lambda self, keys: (taken.append(len(keys)), enqueue(self, keys)))
    method = build()
    fit(method, IMAGES, Training(steps=2, batch_size=8, accumulate=2, monitor_every=-1), progress=False)
    queues = [module for module in method.modules() if isinstance(module, FeatureQueue)]
    assert taken == [16] * 2 * len(queues)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_health_checks_and_rows_of_the_log_count_steps(accumulate: int, tmp_path: Path, monkeypatch: Any) -> None:
    measured: list[int] = []
    measure = Monitor.measure

    def counting(self: Monitor, method: Any) -> dict[str, float]:
        measured.append(method.trainer.global_step)
        found = measure(self, method)
        return {**found, "centred_rank": 1.0, "std": 0.0} if measured[-1] == 4 else found

    monkeypatch.setattr(Monitor, "measure", counting)
    run = Run.create(tmp_path / "run", {"method": "toy"})
    settings = Training(steps=8, batch_size=8, accumulate=accumulate, monitor_every=2, log_every=2)
    fit(Toy(), Vectors(64), settings, run=run, progress=False)  # one bad measurement alone raises no alarm
    assert measured == [0, 2, 4, 6, 8]
    rows = read_metrics(run.path / "metrics.csv")
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8]
