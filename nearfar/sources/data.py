"""What a field hands to training and evaluation, and the loader that feeds it step by step."""

from __future__ import annotations

import abc
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from nearfar.common.randomness import derive_seed
from nearfar.sources.fingerprint import SAMPLED, digest_of
from nearfar.sources.skipped import BadDataError


class Data(abc.ABC):
    """A collection of raw examples that can be fetched in batches.

    A field subclasses it once per kind of source. ``batch`` must not draw random numbers: views are drawn later,
    per batch and on the device, which is what makes runs reproducible with any number of workers.

    Attributes:
        name: what people call it (shown in reports and stored as provenance).
        labels: one label per embedded row, or ``None``. Training never needs them.
        ids: one identifier per embedded row.
        taken: which columns of a table were taken for what, in a line for people; empty where it is no table.
        divisible: whether one example alone can be learned from, because it has parts that are told apart, as a series
            has steps.
        gives: the kind of batch that ``training_batch`` returns, where a method may ask for it.
    """

    name: str = "data"
    labels: np.ndarray | None = None
    gives: type | None = None
    taken: str = ""
    divisible: bool = False

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abc.abstractmethod
    def batch(self, indices: np.ndarray) -> Any:
        """The raw examples at ``indices`` (int64), collated, in that order."""

    def training_batch(self, indices: np.ndarray) -> Any:
        """What views are drawn from in training; :meth:`batch`, unless training sees more of an example."""
        return self.batch(indices)

    def readable(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) bool: whether ``batch`` gave the examples themselves, and not others instead of unreadable
        ones. Embedding leaves those out."""
        return np.ones(len(rows), dtype=bool)

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """The indices of one epoch, :attr:`epoch_size` of them, given to ``batch`` in this order: every one once.

        A collection that draws examples by their rarity, or pairs them with others, returns its own. Everything
        random in it comes from ``rng``, which is what makes epochs repeatable and runs resumable.
        """
        return rng.permutation(self.epoch_size)

    @property
    def epoch_size(self) -> int:
        """How many indices an epoch of training has; more than examples where training sees parts of them."""
        return len(self)

    @property
    def ids(self) -> np.ndarray:
        return np.arange(len(self))

    @property
    def facts(self) -> Mapping[str, Any]:
        """Sizes that a method cannot know (``in_features`` of a graph, ``num_classes``), by argument name."""
        return {}

    def splits(self) -> Mapping[str, Data]:
        """Held-out sets for evaluation, by name; empty when there are none."""
        return {}

    def contents(self) -> Mapping[str, str]:
        """What the collection holds, by part, so that a run can tell whether it is still the same.

        A few examples stand for the rest here. A collection of files, and one that holds its examples, says more:
        see :mod:`nearfar.sources.fingerprint`.
        """
        rows = np.unique(np.linspace(0, max(len(self) - 1, 0), SAMPLED).astype(np.int64))
        examples = [self.batch(rows[i : i + 1]) for i in range(len(rows))] if len(self) else []
        return {"examples": f"{len(self)} {digest_of(self.labels, examples)}"}

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
        """Which examples each of ``total`` batches holds, on this rank; ``order`` takes the place of :meth:`order`.
        ``accumulate`` batches make a step."""
        return StepSampler(
            self.epoch_size, batch_size, total, seed=seed, rank=rank, world_size=world_size, order=order or self.order
        )

    def subset(self, indices: np.ndarray) -> Data:
        """The examples at ``indices`` as a collection of their own."""
        return Subset(self, indices)

    def sample(self, count: int, seed: int = 0) -> Data:
        """At most ``count`` examples, the same ones for the same seed."""
        if len(self) <= count:
            return self
        chosen = np.random.default_rng(seed).choice(len(self), count, replace=False)
        return self.subset(np.sort(chosen))


class Subset(Data):
    """A selection of another collection."""

    def __init__(self, data: Data, indices: np.ndarray) -> None:
        self.data = data
        self.indices = np.asarray(indices, dtype=np.int64)
        self.name = data.name
        self.gives = data.gives
        self.labels = None if data.labels is None else data.labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: np.ndarray) -> Any:
        return self.data.batch(self.indices[indices])

    def training_batch(self, indices: np.ndarray) -> Any:
        return self.data.training_batch(self.indices[indices])

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return self.data.readable(self.indices[rows])

    @property
    def ids(self) -> np.ndarray:
        return self.data.ids[self.indices]

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.data.facts


class StepSampler(Sampler[np.ndarray]):
    """Indices for step after step: each epoch is one order of the examples, drawn from (seed, epoch) alone.

    The order is a permutation unless ``order`` makes another. A batch never crosses the end of an epoch, so no
    example meets itself as a negative; the examples left over are in other batches next epoch. Yields from
    ``start`` to ``total_steps``.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        total_steps: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        order: Callable[[np.random.Generator], np.ndarray] | None = None,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(
                f"the batch size is that of all ranks together and must be divisible by their number: "
                f"got {batch_size} for {world_size} ranks"
            )
        if size < world_size:
            raise ValueError(f"{size} examples cannot be shared among {world_size} ranks: every rank needs one or more")
        self.size = size
        self.batch_size = min(batch_size, size - size % world_size)
        self.total_steps = total_steps
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.order = order or (lambda rng: rng.permutation(size))
        self.start = 0

    @property
    def steps_per_epoch(self) -> int:
        return max(self.size // self.batch_size, 1)

    def __len__(self) -> int:
        return self.total_steps

    def epoch_at(self, step: int) -> tuple[int, bool]:
        """The epoch that a step belongs to, and whether it is its first step."""
        return step // self.steps_per_epoch, step % self.steps_per_epoch == 0

    def __iter__(self) -> Iterator[np.ndarray]:
        local = self.batch_size // self.world_size
        epoch, order = -1, np.empty(0, np.int64)
        for step in range(self.start, self.total_steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self.order(np.random.default_rng(derive_seed(self.seed, "order", epoch)))
            first = (step % self.steps_per_epoch) * self.batch_size + self.rank * local
            yield order[first : first + local]


class EpochSampler(Sampler[np.ndarray]):
    """The steps of one epoch of a sampler of steps; a Trainer says which by ``set_epoch``."""

    def __init__(self, steps: StepSampler) -> None:
        self.steps, self.epoch = steps, 0
        self.batch_size = steps.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps.steps_per_epoch

    def __iter__(self) -> Iterator[np.ndarray]:
        self.steps.start = self.epoch * len(self)
        self.steps.total_steps = self.steps.start + len(self)
        return iter(self.steps)


def epoch_loader(data: Data, steps: StepSampler, *, workers: int = 0, pin_memory: bool = False) -> DataLoader[Any]:
    """Batches of one epoch after another, for a Trainer of someone's own."""
    return DataLoader(
        _Batches(data), sampler=EpochSampler(steps), batch_size=None, num_workers=workers, pin_memory=pin_memory
    )


class _Batches(Dataset[Any]):
    def __init__(self, data: Data) -> None:
        self.data = data

    def __getitem__(self, indices: np.ndarray) -> Any:  # type: ignore[override]
        return self.data.training_batch(indices)


def _end_with_the_run(worker: int) -> None:
    """Let a loader's worker end when the process that it loads for does, even by SIGKILL.

    Torch's own workers watch the number of their parent, which for those of a fork server is the server, and keep each
    other alive.
    """
    parent = multiprocessing.parent_process()

    assert parent is not None  # this is a worker

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end with the run", daemon=True).start()


class StepLoader(DataLoader[Any]):
    """Batches for steps ``start .. total_steps``; resumable, which Lightning uses through its state.

    ``len`` is the length of the whole run, because Lightning counts the steps of an interrupted run in.
    """

    def __init__(self, data: Data, sampler: StepSampler, *, workers: int = 0, pin_memory: bool = False) -> None:
        super().__init__(
            _Batches(data),
            sampler=sampler,
            batch_size=None,
            num_workers=workers,
            pin_memory=pin_memory,
            persistent_workers=False,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_end_with_the_run,
        )
        self.steps = sampler
        self._consumed = sampler.start

    def __iter__(self) -> Any:
        self._consumed = self.steps.start
        batches = super().__iter__()
        try:
            for batch in batches:
                self._consumed += 1
                yield batch
            return
        except BadDataError as error:  # of a worker process, with its traceback before the sentence
            sentence = str(error).rpartition("BadDataError: ")[2].strip()
            # Its frames hold the workers, which end at once only while nothing of theirs has been collected.
            error.__traceback__ = None
        del batches
        raise BadDataError(sentence)

    def state_dict(self) -> dict[str, int]:
        return {"step": self._consumed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps.start = int(state["step"])


def in_order(data: Data, batch_size: int) -> Iterator[tuple[np.ndarray, Any]]:
    """Every example once, in order, as ``(indices, batch)``."""
    for first in range(0, len(data), batch_size):
        indices = np.arange(first, min(first + batch_size, len(data)))
        yield indices, data.batch(indices)
