"""A stream of tasks: collections that arrive one after another, each a stage of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nearfar.common.randomness import derive_seed
from nearfar.sources.data import Data, StepSampler


class Tasks(Data):
    """Several collections of one kind, learned from one after another.

    As a collection it is all of them in a row. In training the steps of a run are divided among the tasks by
    ``shares``, and a batch holds examples of its task alone; :meth:`nearfar.training.Method.begin_task` is called
    before the first step of each.

    Args:
        tasks: at least one collection; all give the same kind of batch.
        name: what people call the stream.
        shares: of the run for each task, summing to anything above 0; equal when not given.
        splits: held-out sets by name; those of the tasks, as ``task 1: <name>``, when not given.
        names: of the tasks; ``task 1`` and so on when not given.
    """

    def __init__(
        self,
        tasks: Sequence[Data],
        *,
        name: str = "tasks",
        shares: Sequence[float] | None = None,
        splits: Mapping[str, Data] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        empty = next((i for i, task in enumerate(tasks) if not len(task)), None)
        if not tasks or empty is not None:
            what = "no task" if not tasks else f"task {(empty or 0) + 1} of {len(tasks)} has no examples"
            raise ValueError(f"a stream of tasks needs examples in every task, and there is {what}")
        shares = [1.0] * len(tasks) if shares is None else list(shares)
        if len(shares) != len(tasks) or min(shares) < 0 or sum(shares) <= 0:
            raise ValueError(f"shares must be {len(tasks)} numbers of at least 0 with a sum above 0, got {shares}")
        if names is not None and len(names) != len(tasks):
            raise ValueError(f"names must be {len(tasks)}, one for each task, got {len(names)}")
        self.tasks = list(tasks)
        self.names = list(names or (f"task {i + 1}" for i in range(len(tasks))))
        self.name = name
        self.gives = tasks[0].gives
        self.shares = np.asarray(shares) / sum(shares)
        self.offsets = np.cumsum([0, *(len(task) for task in tasks)])
        found = [task.labels for task in tasks]
        self.labels = np.concatenate(found) if all(label is not None for label in found) else None  # type: ignore[arg-type]
        self._splits = splits

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @property
    def ids(self) -> np.ndarray:
        return np.concatenate([task.ids for task in self.tasks])

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_tasks": len(self.tasks), **self.tasks[0].facts}

    def splits(self) -> Mapping[str, Data]:
        if self._splits is not None:
            return self._splits
        return {
            f"{of}: {name}": s
            for of, task in zip(self.names, self.tasks, strict=True)
            for name, s in task.splits().items()
        }

    def contents(self) -> Mapping[str, str]:
        return {
            f"{of}: {name}": value
            for of, task in zip(self.names, self.tasks, strict=True)
            for name, value in task.contents().items()
        }

    def batch(self, indices: np.ndarray) -> Any:
        """The examples at ``indices``, of any tasks: evaluation goes through all of them in a row."""
        task = np.searchsorted(self.offsets, indices, side="right") - 1
        groups = [np.flatnonzero(task == each) for each in np.unique(task)]
        parts = [self.tasks[task[rows[0]]].batch(indices[rows] - self.offsets[task[rows[0]]]) for rows in groups]
        return parts[0] if len(parts) == 1 else _joined(parts, np.argsort(np.concatenate(groups)))

    def training_batch(self, indices: np.ndarray) -> Any:
        found = np.unique(np.searchsorted(self.offsets, indices, side="right") - 1)
        if len(found) != 1:
            raise IndexError("a training batch of a stream of tasks holds examples of one task")
        return self.tasks[found[0]].training_batch(indices - self.offsets[found[0]])

    def readable(self, rows: np.ndarray) -> np.ndarray:
        task = np.searchsorted(self.offsets, rows, side="right") - 1
        fine = np.empty(len(rows), dtype=bool)
        for each in np.unique(task):
            mine = task == each
            fine[mine] = self.tasks[each].readable(rows[mine] - self.offsets[each])
        return fine

    def stages(self, total: int, accumulate: int = 1) -> list[int]:
        """The first batch of each task in a run of ``total`` batches, ``accumulate`` of which make a step: no step
        holds batches of two tasks."""
        steps = total // accumulate
        return [accumulate * round(float(start) * steps) for start in np.cumsum([0.0, *self.shares[:-1]])]

    def sampler(
        self,
        batch_size: int,
        total: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        order: Callable[[np.random.Generator], np.ndarray] | None = None,
        accumulate: int = 1,
    ) -> StepSampler:
        """One sampler a task, in a row. The order is each task's own; ``order``, which is of all, is not used."""
        starts = self.stages(total, accumulate)
        return _TaskSampler(self, starts, batch_size, total, seed=seed, rank=rank, world_size=world_size)


class _TaskSampler(StepSampler):
    """One sampler a task, in a row; batches are as large as the smallest task allows."""

    def __init__(
        self, tasks: Tasks, starts: list[int], batch_size: int, total: int, *, seed: int, rank: int, world_size: int
    ) -> None:
        smallest = min(len(task) for task in tasks.tasks)
        super().__init__(smallest, batch_size, total, seed=seed, rank=rank, world_size=world_size)
        self.parts = [
            StepSampler(
                len(task),
                self.batch_size,
                end - start,
                seed=derive_seed(seed, "task", number),
                rank=rank,
                world_size=world_size,
                order=task.order,
            )
            for number, (task, start, end) in enumerate(zip(tasks.tasks, starts, [*starts[1:], total], strict=True))
        ]
        self.starts, self.offsets = starts, tasks.offsets

    def epoch_at(self, step: int) -> tuple[int, bool]:
        number = int(np.searchsorted(self.starts, step, side="right")) - 1
        part = self.parts[number]
        inside = step - self.starts[number]
        before = sum(-(-p.total_steps // p.steps_per_epoch) for p in self.parts[:number])
        return before + inside // part.steps_per_epoch, inside % part.steps_per_epoch == 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for part, start, offset in zip(self.parts, self.starts, self.offsets, strict=False):
            if self.start >= start + part.total_steps:
                continue
            part.start = max(self.start - start, 0)
            for indices in part:
                yield indices + offset


def _joined(parts: Sequence[Any], order: np.ndarray) -> Any:
    """Batches of several tasks as one, its rows in ``order``.

    Raises:
        IndexError: a kind of batch whose rows cannot be put together.
    """
    first = parts[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))[torch.from_numpy(order)]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)[order]
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(_joined(values, order) for values in zip(*parts, strict=True)))
    if isinstance(first, dict):
        return {name: _joined([part[name] for part in parts], order) for name in first}
    if isinstance(first, list):
        rows = [row for part in parts for row in part]
        return [rows[position] for position in order]
    if all(part == first for part in parts):
        return first
    raise IndexError(f"batches of several tasks cannot be put together: they are {type(first).__name__}")
