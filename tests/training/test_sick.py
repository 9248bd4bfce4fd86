"""Losses, gradients and weights that are no numbers; settings that changed; alarms."""

from __future__ import annotations

import math
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from nearfar import workflow
from nearfar.cli import main
from nearfar.runs.metrics import read_metrics
from nearfar.training import NonFiniteError, Optimization, Run, RunError, Training, fit, latest_checkpoint
from nearfar.training.nonfinite import gradients_are_finite
from tests.toy import Toy, VectorBatch, Vectors
from tests.training.forked import launch
from tests.training.kills import STEPS, on_two_ranks, same_weights, words
from tests.training.test_fit import StopAt, assert_equal, weights


class Sick(Toy):
    """A toy whose loss or gradient is poisoned in the batches that hold certain examples."""

    def __init__(self, what: str = "loss", rows: tuple[int, ...] = (7,), norm: str = "bn") -> None:
        super().__init__(norm=norm, optimization=Optimization("adamw", lr=1e-2))
        self.what, self.rows = what, rows
        self.calls = 0

    def views(self, batch: VectorBatch) -> tuple[Tensor, Tensor]:
        self.poisoned = bool(torch.isin(batch.rows, torch.tensor(self.rows)).any())
        x = batch.vectors.clone()
        if self.poisoned and self.what == "input":
            x[0] = float("inf")
        return super().views(VectorBatch(x, batch.rows))

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        total = super().loss(views)
        if self.poisoned and self.what == "loss":
            total = total * float("nan")
        if self.poisoned and self.what == "gradient":
            total = total + (self.encoder[0].weight.square().sum() * 0).sqrt()  # 0, with an infinite slope
        return total

    def after_step(self) -> None:
        self.calls += 1
        super().after_step()


def build(**arguments: object) -> Sick:
    torch.manual_seed(0)
    return Sick(**arguments)  # type: ignore[arg-type]


SKIP = Training(steps=24, batch_size=32, checkpoint_every=4, monitor_every=-1, log_every=1, non_finite="skip")


@pytest.mark.parametrize("what", ["loss", "gradient", "input"])
def test_a_sick_batch_stops_the_run_with_step_term_and_examples(what: str, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    settings = Training(steps=24, batch_size=32, checkpoint_every=1, monitor_every=-1)
    place = "gradient" if what == "gradient" else "loss"
    with pytest.raises(NonFiniteError, match=rf"{place} is not finite at step \d+: .*examples \["):
        fit(build(what=what), Vectors(), settings, run=run, progress=False)
    checkpoint = latest_checkpoint(run.checkpoints)
    if checkpoint is not None:
        state = torch.load(checkpoint, weights_only=True)["state_dict"]
        assert all(torch.isfinite(v).all() for v in state.values())


@pytest.mark.parametrize("what", ["loss", "gradient", "input"])
def test_skipping_leaves_the_sick_batch_out_and_counts_it(what: str, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    method = build(what=what)
    fit(method, Vectors(), SKIP, run=run, progress=False)
    assert all(torch.isfinite(v).all() for v in method.state_dict().values())  # running statistics too
    rows = read_metrics(run.path / "metrics.csv")
    assert rows[-1]["train/skipped"] == 3  # example 7 is in one of the 8 batches of each of 3 epochs
    assert method.calls == 21
    steps = [
        row["step"]
        for row, before in zip(rows[1:], rows[:-1], strict=True)
        if row["train/skipped"] > before["train/skipped"]
    ]
    if what != "gradient":
        assert all(not math.isfinite(row["train/loss"]) for row in rows if row["step"] in steps)


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("crash", [5, 10, 17])
def test_skipping_resumes_to_the_bit(what: str, crash: int, tmp_path: Path) -> None:
    expected = fit(build(what=what), Vectors(), SKIP, run=Run.create(tmp_path / "a", {"method": "toy"}), progress=False)
    cut = Run.create(tmp_path / "b", {"method": "toy"})
    with pytest.raises(KeyError, match="crash"):
        fit(build(what=what), Vectors(), SKIP, run=cut, progress=False, callbacks=[StopAt(crash)])
    checkpoint = cut.latest_checkpoint()
    resumed = fit(build(what=what), Vectors(), SKIP, run=cut, checkpoint=checkpoint, progress=False)
    assert_equal(weights(resumed), weights(expected))
    assert (tmp_path / "a" / "metrics.csv").read_text() == (tmp_path / "b" / "metrics.csv").read_text()


def test_a_batch_left_out_of_an_accumulated_step() -> None:
    method = build()
    fit(method, Vectors(), Training(**{**vars(SKIP), "steps": 8, "accumulate": 2}), progress=False)
    assert method.guard.skipped == 2
    assert method.calls == 8  # the other batch of the step moved the weights
    assert all(torch.isfinite(v).all() for v in method.state_dict().values())


def test_too_many_sick_batches_in_a_row_stop_the_run() -> None:
    everything = tuple(range(256))
    settings = Training(steps=24, batch_size=32, monitor_every=-1, non_finite="skip", max_skipped=5)
    with pytest.raises(NonFiniteError, match=r"5th batch in a row .* max_skipped"):
        fit(build(rows=everything), Vectors(), settings, progress=False)


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    class Overflowing(Toy):
        def after_step(self) -> None:
            if self.trainer.global_step == 6:
                with torch.no_grad():
                    self.encoder[0].weight[0, 0] = float("inf")

    torch.manual_seed(0)
    run = Run.create(tmp_path / "run", {"method": "toy"})
    settings = Training(steps=12, batch_size=32, checkpoint_every=1, monitor_every=-1)
    with pytest.raises(NonFiniteError, match=r"weights are not finite after step \d+: encoder.0.weight"):
        fit(Overflowing(), Vectors(), settings, run=run, progress=False)
    state = torch.load(run.latest_checkpoint(), weights_only=True)["state_dict"]
    assert torch.isfinite(state["encoder.0.weight"]).all()


def test_large_gradients_are_no_infinite_ones() -> None:
    large = torch.full((100,), 1e30)
    assert gradients_are_finite([large, torch.zeros(0)])
    assert gradients_are_finite([])
    for bad in (float("nan"), float("inf"), -float("inf")):
        assert not gradients_are_finite([large, torch.tensor([1.0, bad])])


# Settings that changed since the checkpoint


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of six steps with a checkpoint at the third, interrupted."""
    folder = tmp_path / "run"
    pictures = words(tmp_path)[3]
    settings = Training(steps=6, batch_size=32, checkpoint_every=3)
    small = {"encoder": "small-conv", "projection_hidden": 16}
    _, run = workflow.train("simclr", data=pictures, out=folder, arguments=small, training=settings, progress=False)
    run.unlock()
    (folder / "encoder.safetensors").unlink()
    for file in folder.glob("checkpoints/step-000000006*"):
        file.unlink()
    return folder


def test_edited_settings_are_listed_and_refused(stopped: Path) -> None:
    config = yaml.safe_load((stopped / "config.yaml").read_text())
    config["hyperparameters"]["temperature"] = 0.7
    config["training"]["workers"] = 1  # changes no weight
    (stopped / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(RunError, match=r"trained to step 3 .*: temperature was 0.1 and is 0.7\. .*--accept-changes"):
        workflow.resume_run(stopped, progress=False)
    workflow.resume_run(stopped, progress=False, accept_changes=True)
    noted = yaml.safe_load((stopped / "config.yaml").read_text())["changes"]
    assert noted == [{"at_step": 3, "settings": "temperature was 0.1 and is 0.7"}]


def test_settings_given_to_resume(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["resume", str(stopped), "--optimization.lr", "0.01", "--steps", "9", "--workers", "1"]
    assert main(given) == 2
    assert "optimization.lr was" in (said := capsys.readouterr().err)
    assert "steps was 6 and is 9" in said
    assert said.count("\n") == 1
    assert main([*given, "--accept-changes"]) == 0
    rows = read_metrics(stopped / "metrics.csv")
    assert [row["step"] for row in rows][-1] == 9
    assert main(["resume", str(stopped)]) == 2
    config = yaml.safe_load((stopped / "config.yaml").read_text())
    assert config["training"]["workers"] == 1
    assert config["hyperparameters"]["optimization"]["lr"] == 0.01


def test_a_changed_learning_rate_takes_effect(tmp_path: Path) -> None:
    from nearfar.training.reconfigured import Reconfigured

    settings = Training(steps=8, batch_size=32, checkpoint_every=4, monitor_every=-1, log_every=1)
    run = Run.create(tmp_path / "run", {"method": "toy"})
    torch.manual_seed(0)
    slow = Optimization("adamw", lr=1e-3, schedule="constant")
    with pytest.raises(KeyError):
        fit(Toy(optimization=slow), Vectors(), settings, run=run, progress=False, callbacks=[StopAt(4)])
    method = Toy(optimization=Optimization("adamw", lr=0.5, weight_decay=0.3, schedule="constant"))
    fit(
        method, Vectors(), settings, run=run, checkpoint=run.latest_checkpoint(), progress=False,
        callbacks=[Reconfigured()],
    )  # fmt: skip
    assert [row["lr"] for row in read_metrics(run.path / "metrics.csv")][-1] == 0.5


def test_settings_that_do_not_fit_the_weights_are_said_and_undone(stopped: Path, capsys) -> None:
    before = (stopped / "config.yaml").read_text()
    assert main(["resume", str(stopped), "--projection-hidden", "8", "--accept-changes"]) == 2
    assert "does not fit these settings" in capsys.readouterr().err
    assert (stopped / "config.yaml").read_text() == before


@pytest.mark.long
def test_a_run_that_a_signal_stopped_skips_alike(tmp_path: Path) -> None:
    """The whole path by the command line: skip, kill, resume, compare."""
    command = [*words(tmp_path, steps=12, every=5), "--non-finite", "skip"]
    assert launch(tmp_path, *command, "--out", str(tmp_path / "a"), prepare=poison).wait() == 0
    process = launch(tmp_path, *command, "--out", str(tmp_path / "b"), prepare=poison)
    process.wait_for(lambda: len(process.steps) >= 7)
    process.process.kill()
    process.wait()
    resumed = launch(tmp_path, "resume", str(tmp_path / "b"), prepare=poison)
    assert resumed.wait() in (0, 2), resumed.said  # 2: it was over before the kill
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert 0 < read_metrics(tmp_path / "a" / "metrics.csv")[-1]["train/skipped"] < STEPS


@pytest.mark.ranks
def test_ranks_agree_to_skip(tmp_path: Path) -> None:
    command = [*words(tmp_path, steps=20, every=8), "--non-finite", "skip", "--out", str(tmp_path / "run")]
    for process in on_two_ranks(tmp_path, *command, prepare=poison):  # only one of them holds the example
        assert process.wait() == 0, process.said
    assert read_metrics(tmp_path / "run" / "metrics.csv")[-1]["train/skipped"] == 2


def poison() -> None:
    """Makes the loss of batches with the first example NaN."""
    from nearfar.vision.methods import SimCLR

    views, loss = SimCLR.views, SimCLR.loss

    def watched(self: SimCLR, batch: object) -> object:
        self.poisoned = bool((batch.rows == 0).any())  # type: ignore[attr-defined]
        return views(self, batch)

    def poisoned(self: SimCLR, pair: object) -> object:
        return loss(self, pair) * (float("nan") if self.poisoned else 1.0)  # type: ignore[operator]

    SimCLR.views, SimCLR.loss = watched, poisoned  # type: ignore[method-assign, assignment]


def test_a_gradient_scaler_finds_its_own_way_through_infinite_gradients() -> None:
    """float16 in a user's own Trainer starts with a scale that overflows, and lowers it step by step."""
    loader = torch.utils.data.DataLoader(
        [Vectors().batch(np.arange(i, i + 32)) for i in range(0, 256, 32)], batch_size=None
    )
    torch.manual_seed(0)
    method, scaler = Toy(norm="none"), torch.amp.GradScaler("cpu", init_scale=2.0**30)
    start = weights(method)
    trainer = L.Trainer(
        max_epochs=6,
        accelerator="cpu",
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(method, loader)
    assert scaler.get_scale() < 2.0**30
    assert not torch.equal(method.state_dict()["encoder.0.weight"], start["encoder.0.weight"])
    assert all(torch.isfinite(v).all() for v in method.state_dict().values())
