"""From a method and data to a trained encoder: Lightning's Trainer, set up so that runs repeat and resume."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import Strategy
from safetensors import SafetensorError
from safetensors.torch import save_model

from nearfar.common.files import StorageError, atomic_write, reason
from nearfar.common.share import Share
from nearfar.runs.architecture import keep_architecture
from nearfar.runs.checkpoints import SafeCheckpointIO, checkpoint_step
from nearfar.runs.run import Run
from nearfar.sources.data import Data, StepLoader
from nearfar.sources.interaction import AskingLoader, Interaction
from nearfar.sources.tasks import Tasks
from nearfar.training.acceleration import Precision, compiled, in_precision
from nearfar.training.budget import Budget, Limit
from nearfar.training.checkpoint import Checkpointing
from nearfar.training.cost import Cost
from nearfar.training.course import Course
from nearfar.training.gradient_cache import in_chunks
from nearfar.training.learnable import NothingToLearn
from nearfar.training.memory import MemoryWatch, OutOfMemory, explained, largest_batch
from nearfar.training.method import Method
from nearfar.training.metrics import MetricsCSV
from nearfar.training.monitor import Monitor
from nearfar.training.nonfinite import FiniteGuard, GuardState
from nearfar.training.progress import Progress
from nearfar.training.quiet import Quiet, no_plug_ins
from nearfar.training.ranks import joint_norms, share_draws
from nearfar.training.signals import Stopping, StopSignals
from nearfar.training.strategy import strategy_of, understood


@dataclass(frozen=True)
class Training:
    """How long, how wide and how repeatably to train.

    Args:
        steps: optimiser steps; the alternative to ``epochs``. Give one of the two (100 epochs when neither).
        epochs: passes over the data.
        batch_size: examples per step over all ranks together. A collection smaller than this is one batch. ``auto``
            takes the largest power of two that fits (:func:`nearfar.training.memory.largest_batch`); a run's
            ``config.yaml`` records the number.
        seed: decides initial weights, order, views and every other random number of the run.
        workers: processes that decode data beside the training one; 0 decodes in place. Results do not depend
            on it.
        precision: of the encoder: ``32``, ``bf16`` (mixed), or ``auto``: bf16 where it is faster, which is on GPUs that
            have it and, for encoders of sentences and, with one thread (``OMP_NUM_THREADS=1``), of images, on
            processors that gain by it (no Intel without AMX); 32 elsewhere. Heads, losses and measurements are in 32.
        compile: let ``torch.compile`` translate the encoder, for long runs on a GPU. The first step then takes up to
            minutes; where there is no compiler, a warning says so and the run goes on without.
        accumulate: batches per optimiser step. In-batch losses still contrast within each batch only; a rate that
            scales with the batch (``optimization.lr_batch``) scales with the examples of all of them.
        chunk: examples per pass of the encoder; 0 for all at once. A batch of any size then trains in the memory of
            this many examples, with the gradient of the whole batch, for about a third more time (see
            :func:`nearfar.training.gradient_cache.in_chunks`). Views of an image count one each.
        checkpoint_every: steps between checkpoints; 0 means a tenth of the run, at most 1000.
        monitor_every: steps between health checks; 0 means a tenth of the run, negative means never.
        log_every: steps between rows of ``metrics.csv``.
        non_finite: what a batch with a NaN or infinite loss or gradient does: ``stop`` the run, or ``skip`` the batch
            and count it as ``train/skipped``; skipping copies every buffer (queues too) at every step.
        max_skipped: so many skipped batches in a row stop the run all the same.
        strategy: what several processes hold: ``ddp`` a copy of everything each; ``fsdp2`` a part of every parameter,
            gradient and state of the optimiser (see :mod:`nearfar.training.sharded`).
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int | Literal["auto"] = 256
    seed: int = 0
    workers: int = 0
    precision: Precision = "auto"
    compile: bool = False
    accumulate: int = 1
    chunk: int = 0
    checkpoint_every: int = 0
    monitor_every: int = 0
    log_every: int = 10
    non_finite: Literal["stop", "skip"] = "stop"
    max_skipped: int = 10
    strategy: Literal["ddp", "fsdp2"] = "ddp"

    def __post_init__(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        for name, least in (
            ("steps", 1),
            ("batch_size", 1),
            ("accumulate", 1),
            ("log_every", 1),
            ("workers", 0),
            ("chunk", 0),
            ("max_skipped", 1),
        ):
            value = getattr(self, name)
            if isinstance(value, str):
                if name != "batch_size" or value != "auto":
                    raise ValueError(f"{name} must be a number{' or auto' * (name == 'batch_size')}, got {value!r}")
            elif value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if self.epochs is not None and not self.epochs > 0:
            raise ValueError(f"epochs must be above 0, got {self.epochs}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    @property
    def examples(self) -> int:
        """The batch size as a number."""
        if isinstance(self.batch_size, str):
            raise ValueError("batch_size is still 'auto'; the method and the data decide it (see settled)")
        return self.batch_size

    def total_steps(self, size: int) -> int:
        """Optimiser steps for a collection whose epoch has ``size`` examples (:attr:`Data.epoch_size`)."""
        if self.steps is not None:
            return self.steps
        batches = max(size // min(self.examples, size), 1)
        return max(math.ceil((self.epochs or 100) * batches / self.accumulate), 1)


def fit(
    method: Method,
    data: Data | Interaction,
    training: Training | None = None,
    *,
    run: Run | None = None,
    checkpoint: Path | None = None,
    progress: bool = True,
    callbacks: list[L.Callback] | None = None,
    loggers: Sequence[Logger] = (),
    limit: Limit | None = None,
) -> Method:
    """Train ``method`` on ``data``; returns it, trained, on the CPU in evaluation mode.

    A method in evaluation mode, as an earlier call leaves it, is trained in training mode all the same. Without ``run``
    nothing is written. With ``checkpoint`` the run continues from there, to the bit. Signals that ask the process to
    stop are obeyed between two steps, after saving; see :mod:`nearfar.training.signals`. What a run changes for the
    whole process (torch's random state, warnings, handlers of signals, levels of loggers) is as before when it ends,
    and callbacks that other packages register with Lightning take no part. ``loggers`` of Lightning get the loss, its
    terms and what the monitor measures, every ``log_every`` steps. ``limit`` holds the run to a budget of time; see
    :class:`nearfar.training.budget.Budget`.

    Raises:
        NonFiniteError: a loss, gradient or weight is NaN or infinite.
        StorageError: a checkpoint could not be written.
        OutOfMemory: a step needs more memory than there is.
        Stopped: the process was sent SIGTERM or SIGUSR1. KeyboardInterrupt: Ctrl-C.
    """
    training = settled(method, data, training or Training())
    if not method.training:  # as fit leaves it; frozen parts of a method that was never evaluated stay as they are
        method.train()
    if training.accumulate > 1 and not method.automatic_optimization:
        raise ValueError(
            f"accumulate is {training.accumulate}, and {type(method).__name__} makes several updates in a step, each "
            "on the whole batch; leave it at 1"
        )
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    strategy = strategy_of(method, training, world)
    loader, total, batch_size = _loader(method, data, training, world, rank)
    share_draws(method, data, training, Share(rank, world, batch_size // world))
    method.seed = training.seed
    method.examples_per_step = batch_size * training.accumulate
    method.guard = FiniteGuard(training.non_finite, training.max_skipped)
    signals = StopSignals(patient=run is not None)
    # The order matters: chunks of encoders in lower precision, whose networks are compiled.
    with (
        Quiet(),
        torch.random.fork_rng(devices=[torch.cuda.current_device()] if torch.cuda.is_available() else []),
        signals,
        compiled(method, training.compile),
        in_precision(method, training.precision),
        in_chunks(method, training.chunk),
        joint_norms(method, world),
    ):
        shown = Progress(batch_size * training.accumulate) if progress else None
        kept = _callbacks(training, total, method, data, loader, run, checkpoint, signals, shown)
        if limit is not None and world == 1 and not method.phases and not isinstance(data, Tasks):
            kept.insert(0, Budget(limit, shown.note if shown else lambda text: None))
        with no_plug_ins():
            trainer = _trainer(
                training,
                total,
                world,
                [MemoryWatch(), *(callbacks or []), *kept],
                run,
                strategy=strategy,
                loggers=loggers,
            )
        if checkpoint is None:
            method.begin(data)
        with explained(method, data, batch_size), understood(method, strategy):
            trainer.fit(method, loader, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True)
    method.cpu()
    method.eval()
    if run is not None and trainer.is_global_zero:
        save_kept(method, run)
    return method


def _loader(
    method: Method, data: Data | Interaction, training: Training, world: int, rank: int
) -> tuple[StepLoader | AskingLoader, int, int]:
    """What gives the run its batches, the number of optimiser steps, and the examples in a batch."""
    if isinstance(data, Interaction):
        if training.steps is None:
            raise ValueError(f"{data.name} has no epochs, because it grows; give steps")
        if training.examples % world:
            raise ValueError(f"the batch size must be divisible by {world} ranks, got {training.examples}")
        total = training.steps
        asked = AskingLoader(
            data,
            method,
            batch_size=training.examples // world,
            total=total * training.accumulate,
            seed=training.seed,
            rank=rank,
        )
        return asked, total, training.examples
    if len(data) < 1:
        raise ValueError(f"{data.name} holds no examples to train on")
    total = training.total_steps(data.epoch_size)
    sampler = data.sampler(
        training.examples,
        total * training.accumulate,
        seed=training.seed,
        rank=rank,
        world_size=world,
        order=lambda rng: method.order(data, rng),
        accumulate=training.accumulate,
    )
    loader = StepLoader(data, sampler, workers=training.workers, pin_memory=torch.cuda.is_available())
    return loader, total, sampler.batch_size


def settled(method: Method, data: Data | Interaction, training: Training) -> Training:
    """The settings with ``batch_size="auto"`` replaced by a number; others as they are.

    Raises:
        ValueError: several processes train together, which cannot try sizes one by one.
        OutOfMemory: not even the smallest batch fits.
    """
    if training.batch_size != "auto":
        return training
    if isinstance(data, Interaction):
        raise ValueError(f"batch_size auto needs a collection to try sizes on, and {data.name} is asked; give a number")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("batch_size auto is for one process; find it on one, then give the number to all")
    if torch.cuda.is_available():
        method.cuda()
    with in_precision(method, training.precision), in_chunks(method, training.chunk):
        found = largest_batch(method, data)
    method.cpu()
    if found is None:
        raise OutOfMemory("not even a batch of 8 examples fits into memory; take a smaller encoder or smaller inputs")
    return replace(training, batch_size=found)


def _callbacks(
    training: Training,
    total: int,
    method: Method,
    data: Data | Interaction,
    loader: StepLoader | AskingLoader,
    run: Run | None,
    checkpoint: Path | None,
    signals: StopSignals,
    shown: Progress | None,
) -> list[L.Callback]:
    """What watches and keeps a run. Each comes after those whose state it keeps; stopping comes last."""
    tenth = max(total // 10, 1)
    sampler = loader.steps if isinstance(loader, StepLoader) else None
    course = Course(data, sampler, training.accumulate, resumed=checkpoint is not None)
    callbacks: list[L.Callback] = [GuardState(method.guard), course]
    if isinstance(data, Data) and checkpoint is None:
        callbacks.append(NothingToLearn(data.name))
    metrics = None
    if run is not None:
        resumed = checkpoint_step(checkpoint) if checkpoint else -1
        metrics = MetricsCSV(run.path / "metrics.csv", every=training.log_every, resume_step=resumed)
    if training.monitor_every >= 0 and isinstance(data, Data) and "embeds" in method.verbs:
        record = metrics.record if metrics else None
        callbacks.append(Monitor(data, training.monitor_every or tenth, record=record))
    if shown is not None:
        callbacks.append(shown)
    if run is None or metrics is None:
        return [*callbacks, Stopping(signals)]
    every = training.checkpoint_every or min(tenth, 1000)
    settings = run.config if first_process() else {}
    cost = Cost(run, method.examples_per_step, resumed=checkpoint is not None)

    def save_beside() -> None:
        metrics.save()
        cost.save()

    checkpointing = Checkpointing(run.checkpoints, every, before=save_beside, settings=settings)
    return [*callbacks, metrics, cost, checkpointing, Stopping(signals, checkpointing.save, run.path)]


def first_process() -> bool:
    """Whether this process is the one of all that train together which writes files."""
    return int(os.environ.get("RANK", "0")) == 0


def _trainer(
    training: Training,
    total: int,
    world: int,
    callbacks: list[L.Callback],
    run: Run | None,
    *,
    strategy: Strategy | str,
    loggers: Sequence[Logger],
) -> L.Trainer:
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    # Named, because on a cluster Lightning would choose one whose handler saves in the middle of a step.
    processes = TorchElasticEnvironment() if TorchElasticEnvironment.detect() else LightningEnvironment()
    return L.Trainer(
        default_root_dir=run.path if run else None,
        max_steps=total,
        max_epochs=-1,
        accelerator="auto",
        devices=local if world > 1 else 1,
        num_nodes=max(world // local, 1),
        strategy=strategy,
        accumulate_grad_batches=training.accumulate,
        callbacks=callbacks,
        logger=[*loggers] or False,
        log_every_n_steps=training.log_every,
        plugins=[SafeCheckpointIO(), processes],
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )


def save_kept(method: Method, run: Run) -> None:
    """What the trained method needs, as ``kept.safetensors``, and its encoder alone where that is not the same."""
    keep_architecture(method, run)
    kept, encoder = method.kept(), getattr(method, "encoder", None)
    if kept is not encoder:
        save_weights(kept, run.kept_path)
    if isinstance(encoder, torch.nn.Module):
        save_weights(encoder, run.encoder_path)


def save_weights(module: torch.nn.Module, path: Path, then: str = "") -> None:
    """A module's weights as safetensors, written whole or not at all. ``then``: what to do when there was no room."""
    # A new file of a name that nobody else can have put there.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        save_model(module, str(temporary))
        content = temporary.read_bytes()
        with atomic_write(path) as file:
            file.write(content)
    except (OSError, SafetensorError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        then = then and f"make room, then {then}"
        then = then or f"the run's last step is safe. Make room, then finish with `nearfar resume {path.parent}`"
        raise StorageError(f"the weights could not be saved as {path}: {why}; {then}") from error
    finally:
        temporary.unlink(missing_ok=True)
