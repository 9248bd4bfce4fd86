"""The table that viewers open, and what is said where there is no viewer."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nearfar import workflow
from nearfar.cli import main
from nearfar.report import explore as explore_module
from nearfar.training import Training


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explored")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (60, 8, 8, 3)).astype(np.uint8)
    np.savez(folder / "noise.npz", images=images, labels=np.arange(60) % 3)
    workflow.train(
        "simclr",
        data=folder / "noise.npz",
        data_options={"size": 8},
        arguments={"encoder": "small-conv"},
        out=folder / "run",
        training=Training(steps=1, batch_size=16, monitor_every=-1),
        progress=False,
    )
    return folder / "run"


def test_the_table_has_everything_that_a_viewer_needs(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(explore_module, "viewer_installed", lambda: False)
    assert main(["explore", str(trained), "--most", "40"]) == 0
    said = capsys.readouterr()
    assert "pip install 'nearfar[atlas]'" in said.err
    assert said.out.strip() == str(trained / "explore.parquet")
    table = pq.read_table(trained / "explore.parquet").to_pydict()
    assert set(table) == {"id", "label", "image", "vector", "x", "y", "neighbors"}
    assert len(table["id"]) == 40
    assert Image.open(io.BytesIO(table["image"][0]["bytes"])).size == (explore_module.SIDE,) * 2
    vectors = np.array(table["vector"])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(40)
    assert [near["ids"][0] for near in table["neighbors"]] == cosines.argmax(1).tolist()
    assert table["neighbors"][5]["distances"] == pytest.approx(1 - np.sort(cosines[5])[::-1][:6], abs=1e-5)
    assert np.isfinite([table["x"], table["y"]]).all()
    # Written again by the same command, and removed with the run.
    assert main(["explore", str(trained), "--most", "10", "--no-open"]) == 0
    assert pq.read_metadata(trained / "explore.parquet").num_rows == 10


def test_the_viewer_is_opened_on_it_where_it_is_installed(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(explore_module, "viewer_installed", lambda: True)
    monkeypatch.setattr("subprocess.call", lambda words: called.append(words) or 0)
    out = tmp_path / "a.parquet"
    assert main(["explore", str(trained), "-o", str(out), "--most", "10"]) == 0
    (words,) = called
    assert words[1:4] == ["-m", "embedding_atlas.cli", str(out)]
    options = dict(zip(words[4::2], words[5::2], strict=True))
    assert set(options) == {"--vector", "--x", "--y", "--neighbors", "--image"}
    assert set(options.values()) <= set(pq.read_schema(out).names)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-o", "{}/here.parquet"], "exists; choose another name"),
        (["-o", "{}/a.csv"], "is a .parquet file"),
        (["--most", "3"], "at least 8"),
    ],
)
def test_what_cannot_be_written_is_said(
    more: list[str], said: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here.parquet").touch()
    assert main(["explore", str(trained), *(word.format(tmp_path) for word in more)]) != 0
    assert said in capsys.readouterr().err
    assert (tmp_path / "here.parquet").stat().st_size == 0
