"""Loggers of Lightning beside a run's own metrics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nearfar.cli import main
from nearfar.runs.metrics import read_metrics
from nearfar.training import Training, fit
from nearfar.training.loggers import BY_NAME, logger_named
from tests.toy import Toy, Vectors

SHORT = ["--steps", "4", "--batch-size", "8", "--log-every", "1", "--monitor-every", "-1", "--nodes", "150"]


def test_a_logger_sees_what_the_run_keeps_and_changes_nothing(tmp_path: Path) -> None:
    words = ["train", "grace", *SHORT, "--out"]
    assert main([*words, str(tmp_path / "plain")]) == 0
    assert main([*words, str(tmp_path / "seen"), "--logger", "csv"]) == 0
    weights = [(tmp_path / name / "encoder.safetensors").read_bytes() for name in ("plain", "seen")]
    assert weights[0] == weights[1]
    own = {row["step"]: row["train/loss"] for row in read_metrics(tmp_path / "seen" / "metrics.csv")}
    (kept,) = (tmp_path / "seen" / "logs").rglob("metrics.csv")
    seen = [row["train/loss"] for row in read_metrics(kept) if "train/loss" in row]
    assert seen == pytest.approx([own[step] for step in sorted(own)], rel=1e-4)


def test_tensorboard_shows_the_losses_of_a_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Training(steps=4, batch_size=8, log_every=1, monitor_every=2)
    both = [logger_named("tensorboard", tmp_path), logger_named("csv", tmp_path / "csv")]
    fit(Toy(), Vectors(32), run, progress=False, loggers=both)
    (events,) = (tmp_path / "logs").rglob("events.out.*")
    seen = EventAccumulator(str(events.parent))
    seen.Reload()
    (kept,) = (tmp_path / "csv").rglob("metrics.csv")
    losses = [row["train/loss"] for row in read_metrics(kept) if "train/loss" in row]
    assert [row.value for row in seen.Scalars("train/loss")] == pytest.approx(losses)
    assert [row.step for row in seen.Scalars("train/loss")] == [0, 1, 2, 3]
    assert "monitor/centred_rank" in seen.Tags()["scalars"]


def test_fit_takes_loggers_as_objects() -> None:
    from lightning.pytorch.loggers.logger import DummyLogger

    class Listening(DummyLogger):
        heard: dict[int, Any] = {}  # noqa: RUF012

        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            self.heard.setdefault(step or 0, {}).update(metrics)

    torch.manual_seed(0)
    fit(Toy(), Vectors(32), Training(steps=4, batch_size=8, log_every=2), progress=False, loggers=[Listening()])
    assert any("train/loss" in values for values in Listening.heard.values())
    assert any("monitor/centred_rank" in values for values in Listening.heard.values())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="--logger wandb needs the package wandb, which is not installed"):
        logger_named("wandb", tmp_path)
    assert set(BY_NAME) == {"csv", "tensorboard", "wandb", "mlflow"}
