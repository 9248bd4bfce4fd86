"""What a method needs in a ``lightning.Trainer`` of someone's own: checkpoints, and the examples of a step."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

import lightning as L
import torch

from nearfar.runs.configure import construct
from nearfar.runs.hub import plain
from nearfar.sources.data import EpochSampler, StepSampler


class OwnCheckpoints:
    """``load_from_checkpoint`` of a Trainer's checkpoints, which hold the constructor's arguments."""

    config: dict[str, Any]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the constructor's arguments with the weights: :meth:`load_from_checkpoint` needs nothing else."""
        with suppress(TypeError):  # a module of the user's own, which he has to give again
            checkpoint["hyper_parameters"] = plain(self.config)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: Any, map_location: Any = "cpu", strict: bool = True, **arguments: Any
    ) -> Self:
        """A method from a checkpoint of a Trainer of your own, without running anything that the file may hold.

        Args:
            checkpoint_path: the file that ``Trainer.save_checkpoint`` wrote.
            map_location: the device of the weights.
            strict: whether every weight must be there.
            arguments: take the place of the constructor's arguments in the file; a module that was given to the
                constructor is not in it and must be given again.

        Raises:
            ValueError: the file does not hold the arguments, and they were not given.
        """
        arguments.pop("weights_only", None)
        found = torch.load(checkpoint_path, map_location=map_location, weights_only=True)
        known = found.get("hyper_parameters")
        if known is None and not arguments:
            raise ValueError(
                f"{checkpoint_path} does not say what {cls.__name__} was made with, because that cannot be written to "
                f"a file; give it again, as in {cls.__name__}.load_from_checkpoint(path, encoder=...)"
            )
        method = construct(cls, {**(known or {}), **arguments})
        method.load_state_dict(found["state_dict"], strict=strict)
        return method.to(map_location)


def refused(method: Any, batch: Any) -> str:
    """What a batch must be, and what came instead."""
    takes = method.takes
    held = f" of {', '.join(type(part).__name__ for part in batch)}" if isinstance(batch, list | tuple) else ""
    made = f" ({', '.join(takes._fields)})" if hasattr(takes, "_fields") else ""
    return (
        f"{type(method).__name__} learns from {takes.__name__}{made}, and the loader gave a "
        f"{type(batch).__name__}{held}; make its batches of it with a collate_fn, or hand the data to fit"
    )


def examples_per_step(trainer: L.Trainer) -> int:
    """Examples of an optimiser step in a Trainer of someone's own: its loader's batch size, times the ranks, times
    ``accumulate_grad_batches``.

    Raises:
        ValueError: the loader does not say how many examples a batch has.
    """
    trainer.fit_loop.setup_data()
    loader = trainer.train_dataloader
    sampler = getattr(loader, "sampler", None)
    if isinstance(sampler, StepSampler | EpochSampler):
        batch = sampler.batch_size
    else:
        own = getattr(loader, "batch_size", None) or getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
        if not isinstance(own, int):
            raise ValueError(
                "optimization.lr_batch scales the rate with the examples of a step, and the Trainer's "
                f"{type(loader).__name__} does not say how many a batch has; set the method's examples_per_step, or "
                "optimization.lr_batch to none and optimization.lr to the rate itself"
            )
        batch = own * trainer.world_size
    return batch * trainer.accumulate_grad_batches
