"""Ten thousand steps of every shape of data: does memory grow?"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import lightning as L
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.training import Run, Training, fit
from nearfar.training.memory import process_memory

STEPS = 10_000
SHAPES: dict[str, dict[str, Any]] = {
    "simclr": {"data": {"size": 16}, "method": {"projection_hidden": 16}, "batch": 4},
    "simcse": {"data": {"examples": 200}, "method": {"max_length": 8}, "batch": 2},
    "grace": {"data": {"nodes": 140}, "method": {}, "batch": 1},
    "clip": {"data": {"examples": 100}, "method": {"max_length": 8}, "batch": 2},
    "aligned-segmentation": {"data": {"scenes": 8, "size": 32}, "method": {"decoder_width": 8}, "batch": 1},
}


class Watch(L.Callback):
    """Resident memory and living tensors at a tenth of the run and at its end."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step in (STEPS // 10, STEPS - 1):
            gc.collect()
            tensors = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
            self.seen.append((process_memory(), tensors))


def measure(scratch: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for slug, sizes in SHAPES.items():
        system = find(slug)
        arguments, _ = workflow.laptop_settings(system)
        data = workflow.load_data(system.field, system.data, **sizes["data"])
        method = workflow.build_method(system, {**arguments, **sizes["method"]}, data, 0)
        run = Run.create(scratch / slug, {"method": slug})
        watch = Watch()
        training = Training(steps=STEPS, batch_size=sizes["batch"], monitor_every=2000, checkpoint_every=1000)
        fit(method, data, training, run=run, progress=False, callbacks=[watch])
        (before, tensors_before), (after, tensors_after) = watch.seen
        found[system.field] = {
            "mib_more_after_9000_steps": round((after - before) / 2**20, 1),
            "tensors_more": tensors_after - tensors_before,
        }
    found["most_mib"] = max(v["mib_more_after_9000_steps"] for v in found.values())
    found["most_tensors"] = max(v["tensors_more"] for k, v in found.items() if isinstance(v, dict))
    found["steps"] = STEPS
    return found
