"""From a method and data to a trained encoder: Lightning's Trainer, set up so that runs repeat and resume."""

from __future__ import annotations

import logging
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import save_model

from nearfar.training.checkpoint import Checkpointing, SafeCheckpointIO, checkpoint_step
from nearfar.training.data import Data, StepLoader, StepSampler
from nearfar.training.files import atomic_write
from nearfar.training.method import Method
from nearfar.training.monitor import Monitor
from nearfar.training.progress import Progress
from nearfar.training.run import MetricsCSV, Run


@dataclass(frozen=True)
class Training:
    """How long, how wide and how repeatably to train.

    Args:
        steps: optimiser steps; the alternative to ``epochs``. Give one of the two (100 epochs when neither).
        epochs: passes over the data.
        batch_size: examples per step over all ranks together. A collection smaller than this is one batch.
        seed: decides initial weights, order, views and every other random number of the run.
        workers: processes that decode data beside the training one; 0 decodes in place. Results do not depend
            on it.
        precision: ``32``, ``bf16`` (mixed), or ``auto``: bf16 on GPUs that have it, 32 elsewhere.
        accumulate: batches per optimiser step. In-batch losses still contrast within each batch only.
        checkpoint_every: steps between checkpoints; 0 means a tenth of the run, at most 1000.
        monitor_every: steps between health checks; 0 means a tenth of the run, negative means never.
        log_every: steps between rows of ``metrics.csv``.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 256
    seed: int = 0
    workers: int = 0
    precision: Literal["auto", "32", "bf16"] = "auto"
    accumulate: int = 1
    checkpoint_every: int = 0
    monitor_every: int = 0
    log_every: int = 10

    def __post_init__(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        for name, least in (
            ("steps", 1),
            ("batch_size", 1),
            ("accumulate", 1),
            ("log_every", 1),
            ("workers", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if self.epochs is not None and not self.epochs > 0:
            raise ValueError(f"epochs must be above 0, got {self.epochs}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    def total_steps(self, size: int) -> int:
        """Optimiser steps for a collection of ``size`` examples."""
        if self.steps is not None:
            return self.steps
        batches = max(size // min(self.batch_size, size), 1)
        return max(math.ceil((self.epochs or 100) * batches / self.accumulate), 1)


def fit(
    method: Method,
    data: Data,
    training: Training | None = None,
    *,
    run: Run | None = None,
    checkpoint: Path | None = None,
    progress: bool = True,
    callbacks: list[L.Callback] | None = None,
) -> Method:
    """Train ``method`` on ``data``; returns it, trained, on the CPU in evaluation mode.

    Without ``run`` nothing is written. With ``checkpoint`` the run continues from there, to the bit.
    """
    training = training or Training()
    if len(data) < 1:
        raise ValueError(f"{data.name} holds no examples to train on")
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    total = training.total_steps(len(data))
    sampler = StepSampler(
        len(data),
        training.batch_size,
        total * training.accumulate,
        seed=training.seed,
        rank=rank,
        world_size=world,
    )
    loader = StepLoader(data, sampler, workers=training.workers, pin_memory=torch.cuda.is_available())
    method.seed = training.seed
    with _quiet():
        trainer = _trainer(training, total, sampler.batch_size, world, run, checkpoint, progress, data, callbacks or [])
        trainer.fit(method, loader, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True)
    method.cpu()
    method.eval()
    if run is not None and trainer.is_global_zero:
        save_encoder(method, run.encoder_path)
    return method


def _trainer(
    training: Training,
    total: int,
    batch_size: int,
    world: int,
    run: Run | None,
    checkpoint: Path | None,
    progress: bool,
    data: Data,
    extra: list[L.Callback],
) -> L.Trainer:
    tenth = max(total // 10, 1)
    metrics = None
    if run is not None:
        resumed = checkpoint_step(checkpoint) if checkpoint else -1
        metrics = MetricsCSV(run.path / "metrics.csv", every=training.log_every, resume_step=resumed)
    callbacks: list[L.Callback] = [*extra]
    if training.monitor_every >= 0:
        record = metrics.record if metrics else None
        callbacks.append(Monitor(data, training.monitor_every or tenth, record=record))
    if progress:
        callbacks.append(Progress(batch_size))
    if run is not None and metrics is not None:
        every = training.checkpoint_every or min(tenth, 1000)
        callbacks += [metrics, Checkpointing(run.checkpoints, every, before=metrics.save)]
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    return L.Trainer(
        max_steps=total,
        max_epochs=-1,
        accelerator="auto",
        devices=local if world > 1 else 1,
        num_nodes=max(world // local, 1),
        strategy=DDPStrategy(find_unused_parameters=False) if world > 1 else "auto",
        precision=_precision(training.precision),
        accumulate_grad_batches=training.accumulate,
        callbacks=callbacks,
        logger=False,
        plugins=[SafeCheckpointIO()],
        sync_batchnorm=world > 1 and torch.cuda.is_available(),
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )


def _precision(wanted: str) -> Any:
    if wanted == "auto":
        return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"
    return {"32": "32-true", "bf16": "bf16-mixed"}[wanted]


def save_encoder(method: Method, path: Path) -> None:
    """The encoder's weights alone, as safetensors, written whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    save_model(method.encoder, str(temporary))
    content = temporary.read_bytes()
    with atomic_write(path) as file:
        file.write(content)
    temporary.unlink()


_TALKATIVE = (
    "lightning.pytorch",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
)


class _quiet:
    """Lightning's start-up notes say nothing that a run folder does not."""

    def __enter__(self) -> None:
        self._loggers = [logging.getLogger(n) for n in _TALKATIVE]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)
        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*Detected call of `lr_scheduler.step.*")

    def __exit__(self, *exception: Any) -> None:
        self._catch.__exit__(*exception)
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
