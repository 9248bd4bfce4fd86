"""The base of every method: what a paper's method section fills in, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common import distributed
from nearfar.common.joint_dropout import JointDropout
from nearfar.common.randomness import derive_seed, seed_torch
from nearfar.common.share import Share, sharing_draws
from nearfar.runs.hub import HubMixin
from nearfar.sources.data import Data
from nearfar.system import Configured, require
from nearfar.training.door import Door, door_of
from nearfar.training.nonfinite import FiniteGuard, NonFiniteError, nothing
from nearfar.training.optimization import Optimization, scaled_rates, trainable
from nearfar.training.own_trainer import OwnCheckpoints, examples_per_step, refused
from nearfar.training.steps import Phase, Terms, Update, phase_at

__all__ = ["Method", "NonFiniteError", "Phase", "Terms", "Update"]


class Method(Configured, OwnCheckpoints, L.LightningModule, HubMixin):  # type: ignore[misc]
    """A contrastive method as a ``LightningModule`` that also works in a user's own ``lightning.Trainer``.

    A subclass writes three things: a constructor that builds ``self.encoder`` (kept) and what is thrown away
    after training; :meth:`views`; :meth:`loss`. Optionally :meth:`after_step` for what gradients do not move;
    :meth:`encode` where the representation is more than ``self.encoder(batch)``, and then :meth:`kept`: all that the
    trained system needs; :attr:`phases` and :meth:`begin_phase`; :meth:`updates` where a step has several. A system
    that does not embed names its ``verbs`` (see :mod:`nearfar.system`) and has their functions. One that its field's
    protocol cannot judge has ``evaluate(data, *, seed) -> Scores``.

    The constructor's signature *is* the configuration: names, types, defaults and the docstring's ``Args`` are
    what the command line, ``config.yaml`` and the documentation show. Everything random in a step draws from
    ``self.generator`` or from torch's global generator; both are seeded anew for every step from (seed, step), so a
    resumed run repeats the uninterrupted one. What is drawn for each example goes through
    :func:`nearfar.common.share.for_examples`, so that any number of processes makes the same run.

    Attributes:
        config: the constructor's arguments as they were given, defaults included.
        verbs: what it can do; see :data:`nearfar.system.VERBS`.
        takes: the kind of batch that it understands, compared with ``Data.gives``; ``None`` for anything of its field.
        phases: the parts of its run, in order; none for most methods.
        seed: the run's seed.
        optimization: how parameters move.
        share: which part of every global batch this process holds, in a run of several.
        joint_dropout: whether dropout draws for the global batch.
        examples_per_step: examples of an optimiser step over all ranks and all accumulated batches, by which
            ``optimization.lr_batch`` scales the rate. :func:`nearfar.training.fit` sets it; in a Trainer of your own it
            is the batch size of the loader, times the ranks, times ``accumulate_grad_batches``, unless you set it.
        guard: what happens when a step's loss or gradient is not finite.
        slowing: what every learning rate is multiplied with in this step; see :mod:`nearfar.training.budget`.
        can_collapse: whether the objective could be met by mapping everything to one point, so that the monitor
            should raise an alarm; not so with labels.
    """

    encoder: nn.Module
    verbs: ClassVar[tuple[str, ...]] = ("embeds",)
    takes: ClassVar[type | None] = None
    can_collapse = True
    optimization: Optimization
    phases: tuple[Phase, ...] = ()

    def __init__(self, optimization: Optimization | None = None) -> None:
        super().__init__()
        self.optimization = optimization or Optimization()
        self.seed = 0
        self.guard = FiniteGuard()
        self.share: Share | None = None
        self.joint_dropout = False
        self.slowing = 1.0
        self._moves = True
        self._of_step: list[dict[str, Tensor]] = []
        self._of_batch: dict[str, Tensor] = {}
        self._generator: torch.Generator | None = None
        self.shards: Any = None
        self.examples_per_step: int | None = None

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

    def kept(self) -> nn.Module:
        """What a run keeps of the trained method: every module that its verbs need. The encoder, unless said otherwise.

        It is a view: loading weights into it loads them into the method.
        """
        return self.encoder

    def begin(self, data: Any) -> None:
        """Called once before a run's first step, with what it learns from. Its results belong into parameters and
        buffers, which a checkpoint keeps: a resumed run calls :meth:`resumed` instead."""

    def resumed(self, data: Any) -> None:
        """Called when a checkpoint has been loaded: compute again what is derived from the state and not kept in it."""

    def begin_epoch(self, data: Any, epoch: int) -> None:
        """Called before the first step of each pass over ``data``. Keep what it computes in buffers: a run resumed in
        the middle of an epoch does not call it again."""

    def ordinary(self, batch: Any) -> tuple[Any, Any]:
        """What a batch of another kind is, from a loader of one's own in a Trainer of one's own.

        Returns:
            The batch as this method takes it, and ``None``; or the batch and the views that were made outside.

        Raises:
            TypeError: it is nothing that this method can learn from. Fields say what else they take.
        """
        raise TypeError(refused(self, batch))

    def begin_phase(self, phase: str, data: Any) -> None:
        """Called before the first step of each of :attr:`phases`, under the same rule as :meth:`begin_epoch`."""

    def begin_task(self, task: int, data: Any) -> None:
        """Called before the first step on each task of a stream of tasks, under the same rule."""

    def updates(self) -> list[Update]:
        """Several updates in a step instead of one; none for most methods."""
        return []

    def before_step(self) -> None:
        """Change gradients before the optimiser uses them, such as dropping those of what must not move yet."""

    def after_step(self) -> None:
        """Move what gradients do not move: teachers, queues, prototypes. Once per optimiser step, after it.

        A step is one move of the optimiser: one batch, or ``accumulate`` of them. Teachers, schedules, health checks
        and rows of ``metrics.csv`` (whose loss is that of a step's last batch) count steps. What comes of examples,
        such as the keys of a queue, comes of all batches of the step: :meth:`loss` gives it to :meth:`collect`, and
        here :meth:`collected` has it. Within a step every batch still sees the queue of before the step.
        """

    def encode(self, batch: Any) -> Tensor:
        """The representation (N, D) used for evaluation, embedding and export."""
        require(self, "embeds")
        return self.encoder(batch)

    def door(self, batch: Any) -> Door:
        """How it is entered by tensors alone, for graphs and other programs; ``batch`` is an example of what it reads.

        Raises:
            ValueError: it reads more than tensors of one shape; the message says what.
        """
        require(self, "embeds")
        return door_of(self, batch)

    def watched(self, data: Any) -> dict[str, float]:
        """What the monitor measures besides, of the collection that is learned from and its held-out sets. Where one is
        called ``held_out``, higher is better, and its fall is warned of."""
        return {}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for :meth:`Optimization.build`; one group with everything trainable by default."""
        return [{"params": trainable(self)}]

    # What a method may use --------------------------------------------------------------------------------

    def gather(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Embeddings of the global batch, with gradients; see :func:`nearfar.training.gather`."""
        return distributed.gather(*tensors)

    def collect(self, **rows: Tensor) -> None:
        """Keep rows of this batch for :meth:`after_step`; of a batch that is left out nothing is kept."""
        self._of_batch.update({name: value.detach() for name, value in rows.items()})

    def collected(self, name: str) -> Tensor:
        """What :meth:`collect` was given under ``name`` in this step: the rows of every batch, of all ranks."""
        batches = [batch for batch in (*self._of_step, self._of_batch) if name in batch]
        return torch.cat([self.gather(batch[name])[0] for batch in batches])

    def _step_done(self) -> None:
        """Forget what was collected: the step is made, or was left out."""
        self._of_step, self._of_batch = [], {}

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
    def phase(self) -> str:
        """The phase of the step being made; the last one outside a run, empty where there are none."""
        if not self.phases:
            return ""
        if self._trainer is None:
            return self.phases[-1].name
        return self.phases[phase_at(self.phases, self.trainer.global_step, self.total_steps)].name

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return max(int(self.trainer.estimated_stepping_batches), 1)

    # The engine's side ------------------------------------------------------------------------------------

    def _scale(self) -> float:
        """What every learning rate is multiplied with, now."""
        return self.slowing * next((p.lr_scale for p in self.phases if p.name == self.phase), 1.0)

    def on_train_start(self) -> None:
        model = self.trainer.model
        if not self.automatic_optimization and isinstance(model, nn.parallel.DistributedDataParallel):
            model.require_backward_grad_sync = False  # every update averages its own gradients

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        given = None
        if self.takes is not None and not isinstance(batch, self.takes):
            batch, given = self.ordinary(batch)
        self.seed_step(self.current_epoch, batch_idx)
        self.guard.begin(self, batch)
        self._of_batch = {}
        dropout = JointDropout(self.share) if self.share is not None and self.joint_dropout else nullcontext()
        with sharing_draws(self.share), dropout:
            # Views are made of pixels and words, which mixed precision is not meant for.
            with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                views = self.views(batch) if given is None else given
            if not self.automatic_optimization:
                self._make_updates(views, batch_idx)
                return None
            total, fine = self._total(self.loss, views, batch_idx, "train/")
            if fine:
                self._of_step.append(self._of_batch)
            self._of_batch = {}
            return total if fine else nothing(self)

    def _total(self, loss: Callable[[Any], Terms], views: Any, step: int, prefix: str) -> tuple[Tensor, bool]:
        """The sum of a loss's terms, all of them logged, and whether it may be used."""
        with distributed.shared_losses(), _batch_norm_needs_two(self):
            terms = loss(views)
        named = {"loss": terms} if isinstance(terms, Tensor) else dict(terms)
        total = terms if isinstance(terms, Tensor) else torch.stack(list(named.values())).sum()
        fine = self.guard.loss(total, named, step)
        # The mean over the processes: a loss of pairs that were not gathered is that of a process's own.
        everywhere = distributed.mean(torch.stack([total.detach(), *(value.detach() for value in named.values())]))
        logged = [f"{prefix}loss", *(f"{prefix}{name}" for name in named)]
        self.log_dict(dict(zip(logged, everywhere.unbind(), strict=True)), batch_size=1)
        return total, fine

    def _make_updates(self, views: Any, step: int) -> None:
        """All updates of a step, one after another; the step is done when the last of them is."""
        moved = True
        losses: list[Tensor] = []
        scale = self._scale()
        for update, optimizer, schedule in zip(self._updates, self._optimizers(), self._schedules(), strict=True):
            due = step % update.every == 0
            for turn in range(update.repeat if due else 0):
                with self._only(update):
                    total, fine = self._total(update.loss, views, step, f"train/{update.name}_")
                    if fine:
                        total.backward()
                        distributed.average_gradients(update.parameters)
                if turn == update.repeat - 1:
                    losses.append(total.detach())
                self.before_step()
                moves = self.guard.gradients(self, step)
                if moves:
                    update.optimization.clip_gradients(update.parameters)
                    with scaled_rates(optimizer, scale):
                        optimizer.step()
                moved = moved and moves
                optimizer.zero_grad(set_to_none=True)
            schedule.step()
        if losses:
            self.log("train/loss", torch.stack(losses).sum(), batch_size=1)
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_ready()
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_completed()
        if moved:
            self.guard.moved()
            self.after_step()
        self._step_done()

    @contextmanager
    def _only(self, update: Update) -> Iterator[None]:
        """No parameter of another update receives a gradient."""
        mine = {id(p) for p in update.parameters}
        others = [p for u in self._updates for p in u.parameters if id(p) not in mine and p.requires_grad]
        for p in others:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in others:
                p.requires_grad_(True)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        found = self.optimizers(use_pl_optimizer=False)
        return found if isinstance(found, list) else [found]  # type: ignore[list-item]

    def _schedules(self) -> list[Any]:
        found = self.lr_schedulers()
        return found if isinstance(found, list) else [found]

    @property  # type: ignore[misc]
    def automatic_optimization(self) -> bool:
        """Whether a step is one update, which Lightning makes."""
        return type(self).updates is Method.updates

    def seed_step(self, epoch: int, step: int) -> None:
        """Seed both generators for one step; called by ``training_step``.

        All processes that share their draws start from one seed. Dropout that cannot be shared has another on each.
        """
        own = derive_seed(self.seed, "step", epoch, step, distributed.rank())
        common = derive_seed(self.seed, "step", epoch, step, 0)
        seed_torch(common if self.joint_dropout else own, self.device)
        self.generator.manual_seed(own if self.share is None else common)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.before_step()
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        self._moves = self.guard.gradients(self, self.trainer.global_step, scaled=scaler is not None)
        if self._moves and scaler is None:
            self.optimization.clip_gradients(self.parameters())

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        scale = self._scale()
        with scaled_rates(args[2], scale):
            super().optimizer_step(*args, **kwargs)
        if self._moves:
            self.guard.moved()
            if type(self).after_step is not Method.after_step:
                with self.assembled():
                    self.after_step()
        self._step_done()

    def configure_optimizers(self) -> Any:
        if not self.automatic_optimization:
            self._updates = self.updates()
            found = []
            for update in self._updates:
                optimizer, scheduler = update.optimization.build(
                    [{"params": update.parameters}],
                    total_steps=self.total_steps,
                    batch_size=self._examples_of(update.optimization),
                )
                found.append({"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}})
            return found
        optimizer, scheduler = self.optimization.build(
            self.parameter_groups(),
            total_steps=self.total_steps,
            batch_size=self._examples_of(self.optimization),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _examples_of(self, optimization: Optimization) -> int | None:
        """The examples of a step, where the rate depends on them."""
        if optimization.lr_batch is None:
            return None
        return self.examples_per_step or examples_per_step(self.trainer)

    @contextmanager
    def assembled(self) -> Iterator[None]:
        """Within this block parameters may be used and changed outside a step, although processes hold parts of them
        (``strategy="fsdp2"``); all processes enter it together."""
        with nullcontext() if self.shards is None else self.shards.together():
            yield

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


@contextmanager
def _batch_norm_needs_two(method: Method) -> Iterator[None]:
    """Say in a sentence what batch norm asks for when a batch is one example."""
    try:
        yield
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            f"{type(method).__name__} takes batch norm over the examples of a batch and needs at least two of them; "
            "this batch has one. Raise the batch size"
        ) from error
