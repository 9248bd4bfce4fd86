"""AutoCon: its network, its correlation, learning, forecasts from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.cli import main
from nearfar.losses import autocorrelation
from nearfar.reproductions.arms import build, train
from nearfar.series.data import Windows, load
from nearfar.series.data.generated import seasons
from nearfar.series.forecaster import AutoConNet, moving_mean
from tests.parity import ParityCase, parity


@pytest.mark.parametrize("case", parity("autocon", "smoothed_acf"), ids=str)
def test_released_moving_mean(case: ParityCase) -> None:
    arrays = case.load()
    found = moving_mean(arrays["in_x"][None], case.hyper["window"])[0]
    torch.testing.assert_close(found, arrays["out_smooth"], rtol=1e-9, atol=1e-12)


def test_the_forecast_follows_the_level_of_its_window() -> None:
    torch.manual_seed(0)
    settings = {"clock": 0, "hidden": 8, "out_features": 8, "depth": 1, "scales": (6, 12), "dropout": 0.0}
    network = AutoConNet(2, 12, 10, **settings).eval()
    past, clock = torch.randn(3, 12, 2), torch.zeros(3, 12, 0)
    told, steps = network(past, clock)
    assert told.shape == (3, 10, 2)
    assert steps.shape == (3, 12, 8)
    torch.testing.assert_close(network(past + 5, clock)[0], told + 5, rtol=1e-4, atol=1e-4)


def test_the_correlation_is_that_of_the_smoothed_training_part() -> None:
    data = seasons(800, past=16, ahead=8, period=128)
    method = build("autocon", data, 0)
    method.begin(data)
    values = torch.from_numpy(data.training_values).double()
    values = (values - values.mean(0)) / values.std(0, correction=0)
    expected = autocorrelation(moving_mean(values[None], 17)[0])[:, 0].abs()
    torch.testing.assert_close(method.correlation.double(), expected, rtol=1e-3, atol=1e-3)
    assert method.correlation[128] > 0.5
    assert method.correlation[128 // 4] < 0.3


def test_forecasts_improve_and_features_do_not_collapse() -> None:
    data = seasons(1400, past=24, ahead=24, period=192)
    method = build("autocon", data, 0)
    before = method.evaluate(data)["mse"]
    train("autocon", method, data, 0, epochs=3)
    after = method.evaluate(data)["mse"]
    assert after < 0.7 * before
    with method.frozen():
        features = method.encode(data.batch(np.arange(0, 500, 5)))
    assert torch.linalg.matrix_rank(features - features.mean(0)) > 4


def test_forecast_from_the_command_line(tmp_path: Path, capsys) -> None:
    table = tmp_path / "load.csv"
    t = np.arange(500)
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "load"])
        dates = np.datetime64("2024-01-01T00") + t * np.timedelta64(1, "h")
        writer.writerows((str(d), f"{10 + 3 * np.sin(2 * np.pi * i / 24):.5f}") for i, d in enumerate(dates))
    run, out = tmp_path / "run", tmp_path / "told.csv"
    words = ["train", "autocon", "--data", str(table), "--past", "48", "--ahead", "24", "--out", str(run)]
    assert main([*words, "--epochs", "6", "--batch-size", "32"]) == 0
    assert main(["forecast", str(run), str(table), "-o", str(out)]) == 0
    rows = [*csv.DictReader(out.read_text().splitlines())]
    wanted = 10 + 3 * np.sin(2 * np.pi * np.arange(500, 524) / 24)
    assert len(rows) == 24
    assert np.abs(np.array([float(r["load"]) for r in rows]) - wanted).mean() < 1.0
    assert main(["forecast", str(run), str(table), "--horizon", "30", "-o", str(tmp_path / "x.csv")]) == 2
    assert "tells up to 24 steps, got 30" in capsys.readouterr().err
    assert main(["train", "autocon", "--data", str(table), "--steps", "1"]) == 2
    assert "takes a batch of windows" in capsys.readouterr().err


def test_the_training_part_alone_says_how_values_are_scaled() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=300), np.full(200, 50.0)])
    data = load(values, past=8, ahead=4)
    assert isinstance(data, Windows)
    assert abs(data.facts["centre"][0]) < 1
