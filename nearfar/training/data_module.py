"""A field's data in a ``lightning.Trainer`` of one's own."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from nearfar.sources.data import Data, epoch_loader
from nearfar.training.method import Method


class DataModule(L.LightningDataModule):
    """Any collection of nearfar as a ``LightningDataModule``: batches of the kind that the field's methods take.

    >>> module = DataModule(load("photos/"), batch_size=64)
    >>> lightning.Trainer(max_epochs=10).fit(method, module)

    Orders and batches are those of :func:`nearfar.training.fit` with the same seed and batch size, and every rank has
    its own share; so give the Trainer ``use_distributed_sampler=False`` where there are several. What fit does besides
    (runs that resume to the bit, the monitor, joint statistics on ranks) is fit's alone.

    Args:
        data: a field's collection; its ``load`` makes one of whatever there is.
        batch_size: examples of a step over all ranks.
        seed: of the orders.
        workers: processes that read ahead.
    """

    def __init__(self, data: Data, batch_size: int = 64, *, seed: int = 0, workers: int = 0) -> None:
        super().__init__()
        if not isinstance(data, Data):
            raise TypeError(f"data must be a collection, which a field's load makes, got {type(data).__name__}")
        if batch_size < 1 or workers < 0:
            raise ValueError(f"batch_size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
        self.data, self.batch_size, self.seed, self.workers = data, batch_size, seed, workers

    def train_dataloader(self) -> DataLoader[Any]:
        """One epoch of the collection, in another order every time."""
        trainer = self.trainer
        world, rank = (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
        method = None if trainer is None else trainer.lightning_module
        steps = self.data.sampler(
            self.batch_size,
            1,
            seed=self.seed,
            rank=rank,
            world_size=world,
            order=(lambda rng: method.order(self.data, rng)) if isinstance(method, Method) else None,
        )
        return epoch_loader(self.data, steps, workers=self.workers, pin_memory=torch.cuda.is_available())
