"""Spatial embeddings: harmonics, hexagons, learning, tables with places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from nearfar.cli import main
from nearfar.encoders.location import spherical_harmonics
from nearfar.reproductions.arms import build, train
from nearfar.tabular.data import Rows, load
from nearfar.tabular.data.generated import region
from nearfar.tabular.methods.spatial_embeddings import HexConv


def test_harmonics_are_those_of_scipy_and_orthonormal() -> None:
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(-180, 180, 20), rng.uniform(-90, 90, 20)], 1)
    found = spherical_harmonics(torch.from_numpy(places), 6).numpy()
    azimuth, polar = np.deg2rad(places[:, 0] + 180), np.deg2rad(places[:, 1] + 90)
    for degree in range(6):
        for m in range(-degree, degree + 1):
            y = sph_harm_y(degree, abs(m), polar, azimuth) * (-1.0) ** m  # without the Condon-Shortley phase
            expected = y.real if m == 0 else np.sqrt(2) * (y.real if m > 0 else y.imag)
            np.testing.assert_allclose(found[:, degree * degree + degree + m], expected, atol=1e-10)
    high = spherical_harmonics(torch.tensor([[3.0, 51.0], [90.0, 0.0]]), 64)
    assert torch.isfinite(high).all()
    # The squares of a degree sum to (2 l + 1) / (4 pi) everywhere.
    sums = high[:, 63 * 63 :].square().sum(1)
    torch.testing.assert_close(sums, torch.full((2,), 127 / (4 * np.pi), dtype=torch.float64))
    with pytest.raises(ValueError, match="degrees must be at least 1, got 0"):
        spherical_harmonics(torch.zeros(1, 2), 0)


def test_two_corners_are_no_neighbours() -> None:
    conv = HexConv(1, 1, 3, bias=False)
    torch.nn.init.ones_(conv.weight)
    spot = torch.zeros(1, 1, 5, 5)
    spot[0, 0, 2, 2] = 1
    reached = conv(spot)[0, 0]
    assert reached.sum() == 7
    assert reached[1, 1] == 0
    assert reached[3, 3] == 0
    conv(spot).sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad[0, 0, 0, 0] == 0


def test_coordinates_learn_what_the_views_show() -> None:
    data = region(500, held_out=200)
    method = build("spatial-embeddings", data, 0, degrees=12)
    before = method.evaluate(data)["r2"]
    train("spatial-embeddings", method, data, 0, epochs=15, batch_size=128)
    after = method.evaluate(data)["r2"]
    assert after > before + 0.05
    with method.frozen():
        z = method.encode(data.batch(np.arange(200)))
    assert torch.linalg.matrix_rank(z - z.mean(0)) > 4


def test_a_table_with_places_trains_and_embeds(tmp_path: Path, capsys) -> None:
    table, places = tmp_path / "houses.csv", tmp_path / "places.csv"
    rng = np.random.default_rng(0)
    rows = [f"{rng.uniform(0, 5):.4f},{rng.uniform(50, 55):.4f},{i % 7},{'ab'[i % 2]}" for i in range(60)]
    table.write_text("lon,lat,rooms,kind\n" + "\n".join(rows) + "\n")
    places.write_text("id,lon,lat\nhome,3.1,51.2\nwork,4.4,51.9\n")
    run, out = tmp_path / "run", tmp_path / "vectors.npz"
    words = ["train", "spatial-embeddings", "--data", str(table), "--out", str(run), "--steps", "3"]
    assert main([*words, "--degrees", "8", "--batch-size", "16"]) == 0
    assert main(["embed", str(run), str(places), "-o", str(out)]) == 0
    with np.load(out, allow_pickle=False) as file:
        assert file["id"].tolist() == ["home", "work"]
    found = load(table)
    assert isinstance(found, Rows)
    assert found.schema.columns == ("rooms", "kind")
    table.write_text("rooms,kind\n1,a\n2,b\n3,a\n")
    assert main(["train", "spatial-embeddings", "--data", str(table), "--steps", "1", "--degrees", "8"]) == 2
    assert "has no places; give columns longitude and latitude" in capsys.readouterr().err
