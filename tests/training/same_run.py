"""The same runs on any number of processes: ``python -m [torch.distributed.run ... -m] tests.training.same_run OUT``.

All cases are trained one after another in the same processes, because starting them takes longer than the runs.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.training import Method, Optimization, Training
from tests.ranks import free_port

SGD = Optimization("sgd", lr=0.01, momentum=0.9, weight_decay=1e-4, schedule="constant")
EXACT, ROUNDED = ", in float64", ", rounded"
ADAM = Optimization("adam", lr=1e-3, schedule="constant")


def _case(slug: str, optimization: Optimization = SGD, options: dict[str, Any] | None = None, **more: Any) -> Any:
    return slug, {"optimization": optimization, **more}, options or {}


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}
for _norm, _encoder in (("group norm", "small-conv-gn"), ("batch norm", "small-conv")):
    _image: dict[str, Any] = {"encoder": _encoder, "projection_dim": 16, "options": {"size": 16}}
    CASES |= {
        f"simclr, {_norm}": _case("simclr", projection_hidden=16, **_image),
        f"byol, {_norm}": _case("byol", hidden=16, **_image),
        f"barlow-twins, {_norm}": _case("barlow-twins", hidden=16, **_image),
        f"moco, {_norm}": _case("moco", queue_size=64, key_groups=3, **_image),
        f"swav, {_norm}": _case(
            "swav", hidden=16, prototypes=12, small_crops=2, small_size=16, queue_size=24, **_image
        ),
    }
CASES["simcse, dropout"] = _case("simcse", encoder="tiny-bert")
CASES["clip, batch norm and dropout"] = _case(
    "clip", image_encoder="small-conv", text_encoder="tiny-bert", projection_dim=16
)
CASES |= {
    f"{name}, adam": _case("simclr", ADAM, {"size": 16}, encoder=encoder, projection_hidden=16, projection_dim=16)
    for name, encoder in (("simclr, group norm", "small-conv-gn"), ("simclr, batch norm", "small-conv"))
}


class _First(L.Callback):
    """The first step's loss, of the global batch."""

    value = math.nan

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if math.isnan(self.value):
            self.value = float(trainer.callback_metrics["train/loss"])


def _doubled(method: Method) -> None:
    """Train in float64: views are made as ever, because their pixels are the same on every process, and widened."""
    views = method.views

    def wide(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.double() if value.is_floating_point() else value
        return tree_map_only(Tensor, wide, value)

    method.double()
    method.views = lambda batch: wide(views(batch))  # type: ignore[method-assign]


def _rounded(method: Method) -> None:
    """Change every weight by at most one unit in its last place, as another order of summing would."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for p in method.parameters():
            p.mul_(1 + torch.finfo(p.dtype).eps / 2 * (torch.randint(0, 3, p.shape, generator=generator) - 1))


def train(name: str, steps: int, batch: int) -> dict[str, Any]:
    """What a run begins with, ends with, and the loss of its first step.

    ``name`` is that of a case; it may end with ``EXACT``, for a run in float64, or with ``ROUNDED``, for one whose
    first weights differ by a rounding.
    """
    slug, arguments, options = CASES[name.removesuffix(EXACT).removesuffix(ROUNDED)]
    entry = find(slug)
    laptop, _ = workflow.laptop_settings(entry)
    data = workflow.load_data(entry.field, entry.data, **options)
    method = workflow.build_method(entry, {**laptop, **arguments}, data, 0)
    if name.endswith(EXACT):
        _doubled(method)
    if name.endswith(ROUNDED):
        _rounded(method)
    before = {key: value.clone() for key, value in method.named_parameters()}
    first = _First()
    settings = Training(steps=steps, batch_size=batch, monitor_every=-1, precision="32", seed=3)
    workflow.fit(method, data, settings, progress=False, callbacks=[first])
    return {"before": before, "after": dict(method.named_parameters()), "first": first.value}


def on_processes(count: int, out: Path, names: Iterable[str], *, steps: int, batch: int) -> dict[str, Any]:
    """The runs of ``names`` on ``count`` processes."""
    words = ["-m", "tests.training.same_run", str(out), str(steps), str(batch), *names]
    if count > 1:
        launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(count), "--master-port", str(free_port())]
        words = [*launch, *words]
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out, weights_only=True)


def apart(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """How far two runs end from each other, as a share of the way moved, and how far their first losses are."""

    def norm(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
        return math.sqrt(sum(float((a[key].detach().double() - b[key].detach().double()).square().sum()) for key in a))

    moved = norm(one["after"], one["before"])
    first = abs(one["first"] - other["first"]) / max(abs(one["first"]), 1.0)
    return norm(one["after"], other["after"]) / moved, first


if __name__ == "__main__":
    torch.set_num_threads(1)
    place, number, size, *wanted = sys.argv[1:]
    results = {name: train(name, int(number), int(size)) for name in wanted or CASES}
    if os.environ.get("RANK", "0") == "0":
        torch.save(results, place)
