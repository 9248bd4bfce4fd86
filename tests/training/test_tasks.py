"""A stream of tasks: each a stage of one run, in order, told to the method, resumed to the bit from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.runs.run import Run
from nearfar.sources.tasks import Tasks
from nearfar.training import Data, Training, embed, fit
from tests.toy import Toy, VectorBatch, Vectors
from tests.training.test_fit import StopAt, assert_equal, weights


class Told(Toy):
    """Notes which task began at which step and what each step's examples were; keeps a moving sum of past tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("begun", torch.zeros((), dtype=torch.long))
        self.register_buffer("mark", torch.zeros(16))
        self.told: list[tuple[int, int, int]] = []
        self.met: list[tuple[int, float]] = []

    def begin_task(self, task: int, data: Any) -> None:
        self.told.append((task, int(self.trainer.global_step), len(data)))
        self.begun += 1
        self.mark += next(self.encoder.parameters()).detach().sum(1) * (task + 1)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        return super().loss(views) + 0.01 * self.begun * next(self.encoder.parameters()).square().mean()

    def views(self, batch: VectorBatch) -> tuple[Tensor, Tensor]:
        self.met.append((int(self.trainer.global_step), float(batch.vectors[0].abs().max())))
        return super().views(batch)


def tasks(sizes: tuple[int, ...] = (64, 96, 128), shares: tuple[float, ...] | None = None) -> Tasks:
    """Vectors around 0, around 100, around 200: the size tells the task."""
    found = []
    for number, size in enumerate(sizes):
        data = Vectors(size, seed=number)
        data.vectors = data.vectors / data.vectors.abs().max() + 100 * number
        found.append(data)
    return Tasks(found, shares=shares)


def made() -> Told:
    torch.manual_seed(0)
    return Told()


def test_each_task_is_a_stage_and_no_batch_holds_two() -> None:
    stream = tasks(shares=(2, 1, 1))
    method = fit(made(), stream, Training(steps=12, batch_size=32, monitor_every=-1), progress=False)
    assert isinstance(method, Told)
    assert method.told == [(0, 0, 64), (1, 6, 96), (2, 9, 128)]
    task_of = [round(value / 100) for _, value in method.met]
    assert task_of == [0] * 6 + [1] * 3 + [2] * 3
    every = np.concatenate(list(stream.sampler(32, 12, seed=0)))
    assert sorted(every[:64].tolist()) == list(range(64)), "an epoch of the first task meets each example once"


@pytest.mark.parametrize("accumulate", [2, 3])
def test_a_step_of_several_batches_is_of_one_task(accumulate: int) -> None:
    settings = Training(steps=7, batch_size=16, accumulate=accumulate, monitor_every=-1)
    method = fit(made(), tasks(), settings, progress=False)
    assert isinstance(method, Told)
    assert [t for t, _, _ in method.told] == [0, 1, 2]
    by_step: dict[int, set[int]] = {}
    for step, value in method.met:
        by_step.setdefault(step, set()).add(round(value / 100))
    assert all(len(found) == 1 for found in by_step.values()), by_step
    begins = {task: step for task, step, _ in method.told}
    assert all(min(s for s, found in by_step.items() if found == {t}) == begins[t] for t in range(3))


@pytest.mark.parametrize("crash", [2, 3, 5, 8, 9, 11])
def test_a_stream_killed_anywhere_resumes_to_the_bit(tmp_path: Path, crash: int) -> None:
    settings = Training(steps=12, batch_size=32, checkpoint_every=3, monitor_every=2, log_every=1)
    whole = Run.create(tmp_path / "whole", {"method": "told"})
    expected = weights(fit(made(), tasks(shares=(3, 5, 4)), settings, run=whole, progress=False))
    cut = Run.create(tmp_path / "cut", {"method": "told"})
    with pytest.raises(KeyError, match="crash"):
        fit(made(), tasks(shares=(3, 5, 4)), settings, run=cut, progress=False, callbacks=[StopAt(crash)])
    again = made()
    resumed = fit(again, tasks(shares=(3, 5, 4)), settings, run=cut, checkpoint=cut.latest_checkpoint(), progress=False)
    assert_equal(weights(resumed), expected)
    assert int(again.begun) == 3, "no task is begun twice, none is left out"
    assert (whole.path / "metrics.csv").read_text() == (cut.path / "metrics.csv").read_text()


def test_a_stream_is_a_collection_of_all_its_tasks() -> None:
    stream = tasks()
    assert len(stream) == 288
    assert stream.facts["num_tasks"] == 3
    rows = np.array([250, 3, 100, 70, 287])
    batch = stream.batch(rows)
    expected = torch.cat([t.vectors for t in stream.tasks])[rows]  # type: ignore[attr-defined]
    assert torch.equal(batch.vectors, expected)
    found = embed(made(), stream)
    assert found.array.shape == (288, 16)
    assert np.array_equal(np.asarray(found.labels), np.concatenate([t.labels for t in stream.tasks]))  # type: ignore[misc]
    with pytest.raises(IndexError, match="holds examples of one task"):
        stream.training_batch(rows)
    assert stream.sample(50).labels is not None


def test_fewer_steps_than_tasks_leave_tasks_out_and_say_all_begin() -> None:
    method = fit(made(), tasks(), Training(steps=2, batch_size=32, monitor_every=-1), progress=False)
    assert isinstance(method, Told)
    assert [t for t, _, _ in method.told] == [0, 1, 2][: len(method.told)]
    assert len(method.met) == 2


def test_wrong_streams_get_one_sentence() -> None:
    class Empty(Data):
        def __len__(self) -> int:
            return 0

        def batch(self, indices: np.ndarray) -> VectorBatch:
            raise AssertionError("never asked")

    with pytest.raises(ValueError, match="task 2 of 2 has no examples"):
        Tasks([Vectors(8), Empty()])
    with pytest.raises(ValueError, match="there is no task"):
        Tasks([])
    with pytest.raises(ValueError, match="shares must be 2 numbers"):
        Tasks([Vectors(8), Vectors(8)], shares=(1.0,))
    with pytest.raises(ValueError, match="names must be 2"):
        Tasks([Vectors(8), Vectors(8)], names=("a",))
