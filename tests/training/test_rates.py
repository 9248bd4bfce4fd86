"""The rate of a run: with the examples of its steps, by the commands that people type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from nearfar.catalogue import METHODS
from nearfar.cli import main
from nearfar.runs.configure import parameters
from nearfar.runs.metrics import read_metrics
from nearfar.training import LARS, Method, Optimization, Training, fit
from nearfar.training.nonfinite import nothing
from tests.toy import Toy, Vectors

SCALED = [
    entry
    for entry in METHODS
    if getattr(getattr(parameters(entry.load()).get("optimization"), "default", None), "lr_batch", None)
]
PLAIN = ["--optimization.schedule", "constant", "--optimization.warmup", "0", "--monitor-every", "-1"]
RATE = ["--optimization.lr", "0.001", "--optimization.lr_batch", "16", "--log-every", "1", "--steps", "1", *PLAIN]


def the_rate(run: Path) -> float:
    return next(row["lr"] for row in read_metrics(run / "metrics.csv") if "lr" in row)


def tiny(entry: Any) -> list[str]:
    small = {k: v for k, v in entry.laptop.items() if k == "encoder"}
    settings = {k: v for k, v in {**small, **entry.tiny}.items() if k not in ("batch_size", "steps", "epochs")}
    return [f"--{name}={value}" for name, value in settings.items() if not isinstance(value, dict | list | tuple)]


def test_there_are_methods_whose_rate_scales() -> None:
    assert len(SCALED) >= 20


@pytest.mark.parametrize("entry", SCALED, ids=lambda entry: entry.slug)
def test_the_rate_of_every_method_scales_with_the_batch(entry: Any, tmp_path: Path, monkeypatch: Any) -> None:
    # The rate does not depend on what a step computes.
    monkeypatch.setattr(Method, "training_step", lambda self, batch, index: nothing(self))
    for batch in (4, 8):
        run = tmp_path / str(batch)
        words = ["train", entry.slug, "--out", str(run), "--batch-size", str(batch), *RATE, *tiny(entry)]
        assert main(words) == 0
        assert the_rate(run) == pytest.approx(0.001 * batch / 16)


def test_accumulated_batches_count_and_a_small_collection_is_its_own_batch(tmp_path: Path) -> None:
    class Rate(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            self.value = trainer.optimizers[0].param_groups[0]["lr"]

    for batch, accumulate, examples in ((8, 1, 8), (8, 4, 32), (4096, 1, 64), (4096, 2, 128)):
        seen = Rate()
        method = Toy(optimization=Optimization("sgd", lr=1e-3, lr_batch=16, schedule="constant"))
        settings = Training(steps=1, batch_size=batch, accumulate=accumulate, monitor_every=-1)
        fit(method, Vectors(64), settings, progress=False, callbacks=[seen])
        assert seen.value == pytest.approx(1e-3 * examples / 16)


def own_trainer(**settings: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=1,
        **settings,
    )


def loader_of(data: Vectors) -> DataLoader[Any]:
    return DataLoader(range(len(data)), batch_size=8, collate_fn=lambda rows: data.batch(np.array(rows)))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
def test_in_a_trainer_of_ones_own_the_loader_says_how_many_examples_a_step_has() -> None:
    data = Vectors(32)
    optimization = Optimization("sgd", lr=1e-3, lr_batch=16, schedule="constant")
    trainer = own_trainer(accumulate_grad_batches=2)
    trainer.fit(
        Toy(optimization=optimization),
        DataLoader(range(32), batch_size=8, collate_fn=lambda i: data.batch(np.array(i))),
    )  # type: ignore[arg-type]
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3)

    batches = DataLoader([data.batch(np.arange(8)) for _ in range(2)], batch_size=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="does not say how many a batch has; set the method's examples_per_step"):
        own_trainer().fit(Toy(optimization=optimization), batches)
    method = Toy(optimization=optimization)
    method.examples_per_step = 32
    trainer = own_trainer()
    trainer.fit(method, batches)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(2e-3)


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_ones_own_trainer_loads(tmp_path: Path) -> None:
    data = Vectors(32)
    trainer = own_trainer()
    method = Toy(temperature=0.3, optimization=Optimization("sgd", lr=1e-3))
    trainer.fit(method, loader_of(data))
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    again = Toy.load_from_checkpoint(tmp_path / "own.ckpt")
    assert again.temperature == 0.3
    assert again.optimization == method.optimization
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), method.parameters(), strict=True))
    assert Toy.load_from_checkpoint(tmp_path / "own.ckpt", temperature=0.7).temperature == 0.7


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lars"])
@pytest.mark.parametrize("decay_all", [False, True])
def test_tensors_of_one_dimension_decay_when_asked(name: Any, decay_all: bool) -> None:
    bias = torch.nn.Parameter(torch.ones(4))
    recipe = Optimization(name, lr=0.1, weight_decay=0.5, decay_all=decay_all, schedule="constant")
    optimizer, _ = recipe.build([{"params": [bias]}], total_steps=10, batch_size=None)
    bias.grad = torch.zeros(4)
    optimizer.step()
    assert bool((bias < 1).all()) == decay_all


def test_lars_adapts_no_tensor_of_one_dimension() -> None:
    bias = torch.nn.Parameter(torch.full((4,), 2.0))
    bias.grad = torch.full((4,), 3.0)
    LARS([bias], lr=0.1, weight_decay=0.5, decay_all=True).step()
    assert torch.allclose(bias, torch.full((4,), 2.0 - 0.1 * (3.0 + 0.5 * 2.0)))


def test_a_rate_that_depends_on_the_batch_is_not_built_without_one() -> None:
    with pytest.raises(ValueError, match="lr_batch=256 scales the rate with the examples of a step; give batch_size"):
        Optimization(lr_batch=256).build([{"params": []}], total_steps=1, batch_size=None)


def test_the_warm_up_is_the_documented_formula() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    recipe = Optimization("sgd", lr=1.0, warmup=0.4, schedule="constant")
    optimizer, schedule = recipe.build([{"params": [weight]}], total_steps=10, batch_size=None)
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1])
