"""TS2Vec: its crops and masks, its encoder, learning, and what a finished run says of a person's own series."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import workflow
from nearfar.cli import main
from nearfar.reproductions.arms import build, train
from nearfar.series.anomalies import causal_windows, step_anomalies
from nearfar.series.data import SeriesSet, load
from nearfar.series.encoders import SameConv, SeriesEncoder
from nearfar.series.evaluation import evaluate
from nearfar.series.forecasting import fit_ridges, followed_by
from nearfar.series.views import binomial_mask, continuous_mask, overlapping_crops


def test_both_crops_show_the_same_steps() -> None:
    steps = torch.arange(40.0).expand(5, -1)[:, :, None].clone()
    for seed in range(30):
        crops = overlapping_crops(steps, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(crops.first[:, -crops.shared :], crops.second[:, : crops.shared])
        assert 2 <= crops.shared <= 40
    one = overlapping_crops(steps[:, :1])
    assert one.shared == 1


def test_masks_hide_what_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    assert abs(binomial_mask(50, 400, generator=generator).float().mean() - 0.5) < 0.02
    hidden = ~continuous_mask(6, 100, spans=1, length=0.2, generator=generator)
    assert (hidden.sum(1) == 20).all()
    assert (hidden.int().diff(dim=1).abs().sum(1) <= 2).all()


@pytest.mark.parametrize("steps", [3, 4, 5, 40])
def test_taps_beyond_the_series_are_left_out_without_a_difference(steps: int) -> None:
    conv = SameConv(3, 2, 3, 4).double()
    x = torch.randn(2, 3, steps, dtype=torch.float64)
    expected = F.conv1d(x, conv.weight, conv.bias, padding=4, dilation=4)
    torch.testing.assert_close(conv(x), expected)


def test_hidden_steps_and_gaps_are_the_same_to_the_encoder() -> None:
    encoder = SeriesEncoder(2, hidden=8, out_features=6, depth=2, centre=(1.0, 2.0), spread=(2.0, 4.0)).eval()
    x = torch.randn(3, 12, 2)
    gaps, mask = x.clone(), torch.ones(3, 12, dtype=torch.bool)
    gaps[:, 5, 1] = torch.nan
    mask[:, 5] = False
    torch.testing.assert_close(encoder(gaps), encoder(x, mask))
    plain = SeriesEncoder(2, hidden=8, out_features=6, depth=2).eval()
    plain.load_state_dict({**encoder.state_dict(), "centre": torch.zeros(2), "spread": torch.ones(2)})
    torch.testing.assert_close(plain((x - torch.tensor([1.0, 2.0])) / torch.tensor([2.0, 4.0])), encoder(x))
    with pytest.raises(ValueError, match="have 1 channels; this system was made for 2"):
        encoder(x[:, :, :1])


def test_shorter_series_do_not_see_their_surroundings_in_the_maximum() -> None:
    data = SeriesSet([np.random.default_rng(0).normal(size=30), np.ones(5)])
    method = build("ts2vec", data, 0)
    with method.frozen():
        alone = method.encode(data.batch(np.array([1])))
        together = method.encode(data.batch(np.array([0, 1])))
    assert torch.isfinite(together).all()
    assert alone.shape == (1, 64)


def test_ts2vec_learns_rhythms_and_keeps_the_average(tmp_path: Path) -> None:
    data = load(count=80)
    method = build("ts2vec", data, 0, hidden=16, out_features=32)
    before = evaluate(method.eval(), data)
    method.train()
    first = [p.clone() for p in method.network.parameters()]
    train("ts2vec", method, data, 0, steps=50, batch_size=8)
    after = evaluate(method, data)
    assert after["svm"] > before["svm"] + 0.03
    assert after["effective_rank"] > 4
    averaged = next(iter(method.encoder.module.parameters()))
    latest = next(iter(method.network.parameters()))
    assert not torch.equal(averaged, latest)
    assert torch.linalg.vector_norm(averaged - first[0]) < torch.linalg.vector_norm(latest - first[0])


def test_the_kept_weights_are_the_uniform_average() -> None:
    method = build("ts2vec", load(count=8), 0, hidden=4, out_features=4, depth=1)
    seen = [method.network.embed.weight.detach().clone()]
    for _ in range(4):
        with torch.no_grad():
            method.network.embed.weight.add_(torch.randn_like(method.network.embed.weight))
        method.after_step()
        seen.append(method.network.embed.weight.detach().clone())
    torch.testing.assert_close(method.encoder.module.embed.weight, torch.stack(seen).mean(0))


def test_an_odd_step_scores_highest() -> None:
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(160) / 3) + 0.05 * rng.normal(size=160)
    values[120] += 4
    data = SeriesSet([values])
    method = build("ts2vec", data, 0, hidden=16, out_features=16, depth=3, context=30)
    train("ts2vec", method, data, 0, steps=8)
    with method.frozen():
        scores = step_anomalies(method.encode_steps, torch.from_numpy(data.series[0]), 30)
        assert int(scores.argmax()) == 120
        worst = method.score(data.batch(np.array([0])))
    assert int(worst["step"][0]) == 120
    assert float(worst["score"][0]) == pytest.approx(float(scores.max()))


def test_windows_end_with_their_step_and_ridges_find_what_follows() -> None:
    values = torch.arange(6.0)[:, None]
    windows = torch.cat([*causal_windows(values, 2)])
    assert windows[3, :, 0].tolist() == [1, 2, 3]
    assert windows[0, :2].isnan().all()
    assert followed_by(values.numpy(), 2).tolist() == [[1, 2], [2, 3], [3, 4], [4, 5]]
    x = np.random.default_rng(0).normal(size=(60, 4))
    y = x @ np.ones((4, 2)) + 3
    found = fit_ridges(x[:40], y[:40], x[40:], y[40:], refit=True)
    np.testing.assert_allclose(found.predict(x), y, atol=0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("ts2vec")
    table = folder / "sensor.csv"
    t = np.arange(240)
    rows = zip(np.datetime64("2024-01-01T00") + t * np.timedelta64(1, "h"), np.sin(t / 4), np.cos(t / 4), strict=True)
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "load", "heat"])
        writer.writerows((str(d), f"{a:.4f}", f"{b:.4f}" if i % 50 else "") for i, (d, a, b) in enumerate(rows))
    out = folder / "run"
    settings = ["--hidden", "8", "--out_features", "16", "--depth", "3", "--context", "24", "--batch-size", "4"]
    assert main(["train", "ts2vec", "--data", str(table), "--out", str(out), "--steps", "6", *settings]) == 0
    return out, table


def test_forecast_anomalies_score_and_embed_from_one_run(finished: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    run, table = finished
    told = tmp_path / "told.csv"
    assert main(["forecast", str(run), str(table), "--horizon", "12", "-o", str(told)]) == 0
    rows = [*csv.DictReader(told.read_text().splitlines())]
    assert len(rows) == 12
    assert rows[0]["time"].startswith("2024-01-11T00")
    wanted = np.sin(np.arange(240, 252) / 4)
    assert np.abs(np.array([float(r["load"]) for r in rows]) - wanted).mean() < 0.25
    assert main(["forecast", str(run), str(table), "--horizon", "12", "-o", str(told)]) == 2
    assert "exists" in capsys.readouterr().err
    odd = tmp_path / "odd.parquet"
    assert main(["anomalies", str(run), str(table), "-o", str(odd)]) == 0
    assert main(["score", str(run), "-o", str(tmp_path / "s.csv")]) == 0
    assert (tmp_path / "s.csv").read_text().startswith("id,score,step")
    assert main(["embed", str(run), "-o", str(tmp_path / "v.npz")]) == 0
    assert main(["evaluate", str(run), "--json"]) == 0
    assert "mse 24" in capsys.readouterr().out


def test_the_run_that_is_opened_is_the_one_that_was_trained(finished: tuple[Path, Path]) -> None:
    run, table = finished
    data = load(table)
    _, first, _ = workflow.load_run(run)
    config = first.config
    assert config["spread"][0] == pytest.approx(data.facts["spread"][0])
    with first.frozen():
        steps = first.encode_steps(data.batch(np.array([0])).values)
    assert steps.shape == (1, 240, 16)
    assert torch.isfinite(steps).all()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--horizon", "0"], "of at least 1; got 0"),
        (["--horizon", "200"], "at least 404 are needed"),
        ([], "give --horizon"),
    ],
)
def test_wrong_horizons(words: list[str], expected: str, finished: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    run, table = finished
    assert main(["forecast", str(run), str(table), "-o", str(tmp_path / "x.csv"), *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_series_of_one_step_trains_and_scores_nothing_odd() -> None:
    data = SeriesSet([np.zeros(1), np.ones(1)])
    method = build("ts2vec", data, 0)
    train("ts2vec", method, data, 0, steps=1)
    with method.frozen():
        assert method.score(data.batch(np.arange(2)))["score"].tolist() == [0, 0]
