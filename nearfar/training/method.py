"""The base of every method: what a paper's method section fills in, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from nearfar.training import distributed
from nearfar.training.data import Data
from nearfar.training.hub import HubMixin
from nearfar.training.nonfinite import FiniteGuard, NonFiniteError, nothing
from nearfar.training.optimization import Optimization, trainable
from nearfar.training.randomness import derive_seed, seed_torch

__all__ = ["Method", "NonFiniteError", "Terms"]

Terms = Tensor | Mapping[str, Tensor]


class Method(L.LightningModule, HubMixin):
    """A contrastive method as a ``LightningModule`` that also works in a user's own ``lightning.Trainer``.

    A subclass writes three things: a constructor that builds ``self.encoder`` (kept) and what is thrown away
    after training; :meth:`views`; :meth:`loss`. Optionally :meth:`after_step` for what gradients do not move, and
    :meth:`encode` where the representation is more than ``self.encoder(batch)``.

    The constructor's signature *is* the configuration: names, types, defaults and the docstring's ``Args`` are
    what the command line, ``config.yaml`` and the documentation show. Everything random in a step draws from
    ``self.generator`` or from torch's global generator; both are seeded anew for every step from
    (seed, step, rank), so a resumed run repeats the uninterrupted one.

    Attributes:
        config: the constructor's arguments as they were given, defaults included.
        seed: the run's seed.
        optimization: how parameters move.
        guard: what happens when a step's loss or gradient is not finite.
        can_collapse: whether the objective could be met by mapping everything to one point, so that the monitor
            should raise an alarm; not so with labels.
    """

    encoder: nn.Module
    config: dict[str, Any]
    can_collapse = True
    optimization: Optimization

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        method = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind(method, *args, **kwargs)
        bound.apply_defaults()
        config = dict(list(bound.arguments.items())[1:])
        config.update(config.pop("kwargs", {}))
        # nn.Module refuses attributes before its own __init__ has run.
        object.__setattr__(method, "config", config)
        return method

    def __init__(self, optimization: Optimization | None = None) -> None:
        super().__init__()
        self.optimization = optimization or Optimization()
        self.seed = 0
        self.guard = FiniteGuard()
        self._moves = True
        self._generator: torch.Generator | None = None
        self._batch_size: int | None = None

    # What a method writes ---------------------------------------------------------------------------------

    def views(self, batch: Any) -> Any:
        """Raw batch -> what is similar to what. Runs without gradients. By default the batch itself."""
        return batch

    def loss(self, views: Any) -> Terms:
        """One scalar, or named scalars whose sum is the loss; every one is logged."""
        raise NotImplementedError(f"{type(self).__name__} does not define loss(views)")

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """In which order an epoch meets the examples; the collection's own unless the method samples otherwise."""
        return data.order(rng)

    def before_step(self) -> None:
        """Change gradients before the optimiser uses them, such as dropping those of what must not move yet."""

    def after_step(self) -> None:
        """Move what gradients do not move: teachers, queues, prototypes. Once per optimiser step, after it."""

    def encode(self, batch: Any) -> Tensor:
        """The representation (N, D) used for evaluation, embedding and export."""
        return self.encoder(batch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for :meth:`Optimization.build`; one group with everything trainable by default."""
        return [{"params": trainable(self)}]

    # What a method may use --------------------------------------------------------------------------------

    def gather(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Embeddings of the global batch, with gradients; see :func:`nearfar.training.gather`."""
        return distributed.gather(*tensors)

    @property
    def generator(self) -> torch.Generator:
        """The step's generator, on the module's device."""
        if self._generator is None or self._generator.device != self.device:
            self._generator = torch.Generator(self.device)
            self._generator.manual_seed(self.seed)
        return self._generator

    @property
    def progress(self) -> float:
        """Share of the run that is over, in [0, 1]; 0 outside a run."""
        if self._trainer is None:
            return 0.0
        return min(self.trainer.global_step / max(self.total_steps, 1), 1.0)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return max(int(self.trainer.estimated_stepping_batches), 1)

    # The engine's side ------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        loader = self.trainer.train_dataloader
        if self._batch_size is None and loader is not None:
            self._batch_size = getattr(getattr(loader, "sampler", None), "batch_size", None)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seed_step(self.current_epoch, batch_idx)
        self.guard.begin(self, batch)
        # Views are made of pixels and words, which mixed precision is not meant for.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            views = self.views(batch)
        with distributed.shared_losses():
            terms = self.loss(views)
        named = {"loss": terms} if isinstance(terms, Tensor) else dict(terms)
        total = terms if isinstance(terms, Tensor) else torch.stack(list(named.values())).sum()
        fine = self.guard.loss(total, named, batch_idx)
        logged = {f"train/{name}": value.detach() for name, value in named.items()}
        self.log_dict({"train/loss": total.detach(), **logged}, batch_size=1)
        return total if fine else nothing(self)

    def seed_step(self, epoch: int, step: int) -> None:
        """Seed both generators for one step; called by ``training_step``."""
        seed = derive_seed(self.seed, "step", epoch, step, distributed.rank())
        seed_torch(seed, self.device)
        self.generator.manual_seed(seed)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.before_step()
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        self._moves = self.guard.gradients(self, self.trainer.global_step, scaled=scaler is not None)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self._moves:
            self.guard.moved()
            self.after_step()

    def configure_optimizers(self) -> Any:
        optimizer, scheduler = self.optimization.build(
            self.parameter_groups(), total_steps=self.total_steps, batch_size=self._batch_size
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Evaluation mode without gradients; the training mode of every part comes back afterwards."""
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode
