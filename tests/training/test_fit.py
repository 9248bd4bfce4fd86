"""Fitting, resuming and repeating a run."""

from __future__ import annotations

import dataclasses
import shutil

import lightning as L
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nearfar.evaluation import knn
from nearfar.runs.metrics import read_metrics
from nearfar.training import (
    CollapseWarning,
    Data,
    Method,
    Monitor,
    NonFiniteError,
    Optimization,
    Run,
    RunError,
    StepSampler,
    Training,
    embed,
    fit,
)
from tests.toy import Toy, VectorBatch, Vectors


def build(seed: int = 0, **arguments: object) -> Toy:
    torch.manual_seed(seed)
    return Toy(**arguments)  # type: ignore[arg-type]


def weights(method: Method) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in method.state_dict().items()}


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


class StopAt(L.Callback):
    """Ends a run as a crash would: by an exception after some step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step == self.step:
            raise KeyError("crash")


SETTINGS = Training(steps=30, batch_size=32, checkpoint_every=4, monitor_every=-1, log_every=1)


def test_training_improves_knn_over_the_untrained_encoder() -> None:
    data, test = Vectors(512), Vectors(256, seed=1)
    method = build()
    before = embed(method, data), embed(method, test)
    fit(method, data, Training(steps=150, batch_size=128, monitor_every=-1), progress=False)
    after = embed(method, data), embed(method, test)

    def score(pair: tuple) -> float:
        return float(knn(pair[0].array, pair[0].labels, pair[1].array, pair[1].labels, k=10))

    assert score(after) > score(before) + 0.02
    assert np.isfinite(after[0].array).all()


def test_same_seed_same_weights_with_any_number_of_workers() -> None:
    runs = []
    for workers in (0, 2):
        settings = Training(steps=12, batch_size=32, workers=workers, monitor_every=5)
        runs.append(weights(fit(build(), Vectors(), settings, progress=False)))
    assert_equal(*runs)
    other = weights(fit(build(), Vectors(), Training(steps=12, batch_size=32, seed=1), progress=False))
    assert not torch.equal(other["encoder.0.weight"], runs[0]["encoder.0.weight"])


@pytest.mark.parametrize("crash", [3, 8, 17])
def test_an_interrupted_run_resumes_to_the_bit(tmp_path, crash: int) -> None:
    data, settings = Vectors(), dataclasses.replace(SETTINGS, monitor_every=10)
    whole = Run.create(tmp_path / "whole", {"method": "toy"})
    expected = weights(fit(build(), data, settings, run=whole, progress=False))

    cut = Run.create(tmp_path / "cut", {"method": "toy"})
    with pytest.raises(KeyError, match="crash"):
        fit(build(), data, settings, run=cut, progress=False, callbacks=[StopAt(crash)])
    checkpoint = cut.latest_checkpoint()
    assert (checkpoint is None) == (crash < 4)
    resumed = fit(build(), data, settings, run=cut, checkpoint=checkpoint, progress=False)

    assert_equal(weights(resumed), expected)
    assert load_file(cut.encoder_path).keys() == load_file(whole.encoder_path).keys()
    rows = read_metrics(cut.path / "metrics.csv")
    assert rows == read_metrics(whole.path / "metrics.csv")
    assert (rows[0]["step"], "train/loss" in rows[0]) == (0, False)
    steps = (cut.path / "metrics.csv").read_text().splitlines()
    assert not steps[1].startswith("0,"), "the first row of metrics.csv is a step with a loss"


def test_gradient_accumulation_resumes_too(tmp_path) -> None:
    settings = Training(steps=10, batch_size=32, accumulate=2, checkpoint_every=3, monitor_every=-1, log_every=1)
    data = Vectors()
    expected = weights(fit(build(), data, settings, progress=False))
    cut = Run.create(tmp_path / "cut", {"method": "toy"})
    with pytest.raises(KeyError):
        fit(build(), data, settings, run=cut, progress=False, callbacks=[StopAt(7)])
    resumed = fit(build(), data, settings, run=cut, checkpoint=cut.latest_checkpoint(), progress=False)
    assert_equal(weights(resumed), expected)


def test_a_method_that_was_evaluated_trains_like_one_that_was_not() -> None:
    settings = Training(steps=6, batch_size=32, monitor_every=-1)
    made = [build(dropout=0.5), build(dropout=0.5).eval()]
    assert_equal(*(weights(fit(method, Vectors(), settings, progress=False)) for method in made))
    assert not made[1].training


def test_watching_a_run_does_not_change_it() -> None:
    watched = Training(steps=10, batch_size=32, monitor_every=2)
    blind = Training(steps=10, batch_size=32, monitor_every=-1)
    assert_equal(*(weights(fit(build(), Vectors(), s, progress=False)) for s in (watched, blind)))


def test_works_in_a_users_own_trainer() -> None:
    loader = torch.utils.data.DataLoader(
        [Vectors().batch(np.arange(i, i + 32)) for i in range(0, 256, 32)], batch_size=None
    )
    method = build()
    start = weights(method)
    trainer = L.Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu"
    )
    trainer.fit(method, loader)
    assert trainer.global_step == 16
    assert not torch.equal(method.state_dict()["encoder.0.weight"], start["encoder.0.weight"])
    assert trainer.callback_metrics["train/loss"] > 0


class Poisoned(Vectors):
    """Vectors with one NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors[77] = float("nan")


def test_a_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(tmp_path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    settings = Training(steps=50, batch_size=32, checkpoint_every=1, monitor_every=-1)
    with pytest.raises(NonFiniteError, match=r"not finite at step \d+.*examples \["):
        fit(build(), Poisoned(), settings, run=run, progress=False)
    checkpoint = run.latest_checkpoint()
    if checkpoint is not None:
        state = torch.load(checkpoint, weights_only=True)["state_dict"]
        assert all(torch.isfinite(v).all() for v in state.values())


class Collapsing(Toy):
    """Pulls everything to one point."""

    def loss(self, views):
        return self.encoder(views[0]).square().sum()


def test_collapse_is_reported_while_it_happens() -> None:
    torch.manual_seed(0)
    method = Collapsing(optimization=Optimization("sgd", lr=1e-2, schedule="constant"))
    with pytest.warns(CollapseWarning, match="effective rank"):
        fit(method, Vectors(), Training(steps=300, batch_size=64, monitor_every=50), progress=False)


def test_the_monitor_measures_rank_spread_and_knn() -> None:
    monitor = Monitor(Vectors(), every=1)
    found = monitor.measure(build())
    assert set(found) == {"centred_rank", "std", "knn"}
    assert 1 <= found["centred_rank"] <= 16
    assert 0 <= found["knn"] <= 1


def test_a_run_folder_is_never_overwritten(tmp_path) -> None:
    Run.create(tmp_path / "run", {"method": "toy"}).unlock()
    with pytest.raises(RunError, match="already holds a run"):
        Run.create(tmp_path / "run", {"method": "toy"})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not an empty folder"):
        Run.create(tmp_path / "other", {"method": "toy"})
    assert (tmp_path / "other" / "thesis.txt").read_text() == "mine"


def test_two_runs_never_share_a_folder(tmp_path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    with pytest.raises(RunError, match="in use"):
        Run.open(tmp_path / "run").lock()
    run.unlock()
    Run.open(tmp_path / "run").lock()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 5, "epochs": 1}, "not both"),
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": -1}, "epochs"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_settings_are_refused(bad: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training(**bad)


def test_order_is_a_permutation_per_epoch_and_splits_over_ranks() -> None:
    whole = list(StepSampler(100, 20, 10, seed=3))
    assert sorted(np.concatenate(whole[:5]).tolist()) == list(range(100))
    assert sorted(np.concatenate(whole[5:]).tolist()) == list(range(100))
    assert not np.array_equal(whole[0], whole[5])
    parts = [list(StepSampler(100, 20, 10, seed=3, rank=r, world_size=2)) for r in range(2)]
    for step, pair in enumerate(zip(*parts, strict=True)):
        assert np.array_equal(np.concatenate(pair), whole[step])
    late = StepSampler(100, 20, 10, seed=3)
    late.start = 7
    assert np.array_equal(next(iter(late)), whole[7])
    with pytest.raises(ValueError, match="divisible"):
        StepSampler(100, 21, 10, seed=3, world_size=2)


def test_an_empty_collection_is_refused() -> None:
    class Empty(Data):
        def __len__(self) -> int:
            return 0

        def batch(self, indices: np.ndarray) -> VectorBatch:
            raise AssertionError("never asked")

    with pytest.raises(ValueError, match="no examples"):
        fit(build(), Empty(), progress=False)


def test_shutil_copy_of_a_run_can_be_opened(tmp_path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    shutil.copytree(run.path, tmp_path / "copy")
    assert Run.open(tmp_path / "copy").config["method"] == "toy"


def test_what_a_run_took_is_kept_and_added_up_when_it_goes_on(tmp_path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    fit(Toy(), Vectors(64), Training(steps=4, batch_size=8, checkpoint_every=4), run=run, progress=False)
    first = run.read_json("cost.json")
    assert (first["steps"], first["examples"], first["sittings"]) == (4, 32, 1)
    assert first["seconds"] > 0
    assert first["peak_bytes"] > 1 << 20
    checkpoint = run.latest_checkpoint()
    fit(Toy(), Vectors(64), Training(steps=6, batch_size=8), run=run, checkpoint=checkpoint, progress=False)
    second = run.read_json("cost.json")
    assert (second["steps"], second["examples"], second["sittings"]) == (6, 48, 2)
    assert second["seconds"] > first["seconds"]


def test_a_batch_of_one_with_batch_norm_gets_a_sentence() -> None:
    method = build(norm="bn")
    with pytest.raises(
        ValueError, match=r"Toy takes batch norm over the examples .* at least two .* Raise the batch size"
    ):
        fit(method, Vectors(), dataclasses.replace(SETTINGS, batch_size=1), progress=False)
