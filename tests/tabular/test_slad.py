"""SLAD: its parts and sizes, folded scoring, learning, and scores with reasons from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F

from nearfar import workflow
from nearfar.cli import main
from nearfar.losses import scale_alignment
from nearfar.reproductions.arms import build, train
from nearfar.sources.data import in_order
from nearfar.tabular.data import load
from nearfar.tabular.evaluation import evaluate
from nearfar.tabular.scales import ScaleNetwork, feature_weights


def network(features: int) -> ScaleNetwork:
    torch.manual_seed(0)
    return ScaleNetwork(features, groups=3, parts=4, width=16, hidden=8, magnify=200.0, pool=50)


@pytest.mark.parametrize("features", [3, 14])
def test_images_are_those_of_the_subsets_one_by_one(features: int) -> None:
    """With repetitions up to ten features, without beyond."""
    net = network(features)
    x = torch.randn(5, features)
    group = torch.tensor([2, 0, 2, 1, 1])
    told = net(x, group)
    sizes = net.sizes.tolist()
    for row in range(5):
        for part in range(4):
            chosen = net.subsets[group[row], part]
            chosen = chosen[chosen >= 0]
            assert features <= 10 or len(chosen.unique()) == len(chosen)
            image = net.maps[sizes.index(len(chosen)), :, : len(chosen)] @ x[row, chosen]
            expected = net.last(F.leaky_relu(net.first(image)))
            torch.testing.assert_close(told[row, part], expected[0], rtol=1e-4, atol=1e-5)


def test_folded_scoring_gives_the_same_numbers() -> None:
    net = network(9)
    x = torch.rand(6, 9)
    folded = net.all_groups(x, net.folded())
    for g in range(3):
        torch.testing.assert_close(folded[g], net(x, torch.full((6,), g)), rtol=1e-4, atol=1e-5)


def test_sizes_are_the_weights_of_their_features() -> None:
    net = network(12)
    net.weights.copy_(torch.arange(12.0))
    chosen = net.subsets[1, 2]
    assert float(net.targets()[1, 2]) == pytest.approx(float(chosen[chosen >= 0].sum()) * 200 / 16)


def test_feature_weights_by_numpy_and_where_the_release_divides_by_zero() -> None:
    x = torch.randn(40, 5) @ torch.randn(5, 5)
    x[:, 3] = 7.0
    with np.errstate(all="ignore"):
        correlation = np.nan_to_num(np.abs(np.corrcoef(x.double().T.numpy())))
    mean = correlation.mean(1)
    expected = (mean - mean.min()) / (mean.max() - mean.min())
    np.testing.assert_allclose(feature_weights(x).numpy(), expected, atol=1e-5)
    assert feature_weights(torch.zeros(6, 3)).tolist() == [1, 1, 1]
    assert feature_weights(torch.rand(9, 60)).tolist() == [1] * 60


def test_slad_finds_what_is_not_normal() -> None:
    data = load(count=600)
    method = build("slad", data, 0)
    before = evaluate(method.eval(), data)
    method.train()
    train("slad", method, data, 0, epochs=100)
    after = evaluate(method, data)
    assert after["auroc"] > before["auroc"] + 0.1
    assert after["aupr"] > before["aupr"]


def test_the_score_of_a_row_is_its_loss_averaged_over_the_groups() -> None:
    data = load(count=60)
    method = build("slad", data, 0, groups=3).eval()
    method.begin(data)
    batch = data.batch(np.arange(7))
    x = method.features(batch)
    rows = [
        scale_alignment(
            method.encoder(x, torch.full((7,), g)), method.encoder.targets()[g].expand(7, -1), reduction="none"
        )
        for g in range(3)
    ]
    torch.testing.assert_close(method.rates(batch), torch.stack(rows).mean(0), rtol=1e-4, atol=1e-6)


def test_score_from_the_command_line(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    train_file, new = tmp_path / "rows.csv", tmp_path / "new.csv"
    for path, odd in ((train_file, False), (new, True)):
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "a", "b", "kind", "c", "d"])
            for i in range(120):
                u = rng.normal()
                row = [f"row {i}", u, 2 * u + 0.1 * rng.normal(), "xy"[i % 2], rng.normal(), ""]
                row[5] = -row[1] + 0.1 * rng.normal() if i % 9 else ""
                if odd and i == 50:
                    row[4] = 40.0
                writer.writerow(row)
    run = tmp_path / "run"
    words = ["train", "slad", "--data", str(train_file), "--out", str(run), "--epochs", "5", "--batch-size", "32"]
    assert main([*words, "--groups", "6"]) == 0
    out = tmp_path / "scores.parquet"
    assert main(["score", str(run), str(new), "-o", str(out)]) == 0
    table = pq.read_table(out).to_pydict()
    assert set(table) == {"id", "score", "columns"}
    worst = int(np.argmax(table["score"]))
    assert table["id"][worst] == "row 50"
    assert table["columns"][worst].split(", ")[0] == "c"
    _, method, _ = workflow.load_run(run)
    data = load(new)
    again = np.concatenate([method.rates(batch).numpy() for _, batch in in_order(data, 256)])
    np.testing.assert_allclose(again, table["score"], rtol=1e-5)
    new.write_text("id,a,b\n1,2,3\n")
    assert main(["score", str(run), str(new), "-o", str(tmp_path / "x.csv")]) == 2
    assert "no column 'c', which this system learned from" in capsys.readouterr().err
