"""The page as text: what is in it, what is escaped, how large it gets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import nearfar.report.cards as cards_module
from nearfar.cli import main
from nearfar.report import write_report
from nearfar.report.charts import honest_range, thinned
from nearfar.report.embedding import mapped, standing_out
from nearfar.report.page import LARGEST
from nearfar.runs.run import RunError
from nearfar.training import Data
from tests.report.folders import health, measured, run_folder

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{7*7}}"


def without_library(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_nothing_that_a_user_fed_in_becomes_markup(tmp_path: Path) -> None:
    found = measured(0.2, 0.1, 0.3)
    found["data"] = HOSTILE
    for part in ("trained", "untrained", "better", "ahead"):
        found[part][HOSTILE] = found[part]["linear test"]
    found["further"] = {HOSTILE: {"trained": {HOSTILE: 1.0}, "untrained": {}}}
    rows = [{"step": step, f"train/{HOSTILE}": 1.0 + step} for step in (5, 10)]
    run = run_folder(tmp_path / "a<b>&'", rows=rows, measured=found, source=HOSTILE, hyperparameters={HOSTILE: HOSTILE})
    page = write_report(run).read_text()
    assert page.count("<script>") == 2
    assert "<img" not in without_library(page)
    assert "onerror=alert(2)&gt;" in page
    assert "{{7*7}}" in page
    data = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert len(json.loads(data[1])["charts"]) == 1


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else(tmp_path: Path) -> None:
    page = write_report(run_folder(tmp_path / "run", rows=health([0, 5]))).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; img-src data: blob:;")
    assert "unsafe-inline" not in policy[1].partition("script-src")[2]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']*)'", policy[1]) == digests


def test_one_number_for_one_name(tmp_path: Path) -> None:
    """Closed over names: whatever the page gives a number twice has one number, and no name stands for two things."""
    found = measured(0.2, 0.1, 0.3)
    for who, more in (("trained", 30.5), ("untrained", 20.5)):
        found[who] |= {"lidar": more, "view retrieval": 0.75, "pictures": 256.0}
    run = run_folder(tmp_path / "run", rows=health([0, 5], rank=33.3), measured=found)
    page = without_library(write_report(run).read_text())
    number = r"(-?[\d.]+)"
    gauged = re.findall(rf"\(([^()]+)\)</span>.*?class=\"value\">{number}", page, re.DOTALL)
    table = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert table is not None
    tabled = re.findall(rf"row\">([^<]+?) <.*?<td[^>]*>{number}</td><td[^>]*>{number}", table[1].replace("\n", ""))
    assert {name for name, *_ in tabled} == {*found["trained"]}
    curved = re.findall(r"\((monitor/[^()]+)\)</figcaption>", page)
    assert curved == ["monitor/knn", "monitor/centred_rank", "monitor/std"]
    assert len(gauged) == 6
    said: dict[str, list[str]] = {}
    for name, value in [*gauged, *((name, now) for name, _, now in tabled)]:
        said.setdefault(name, []).append(value)
    last = {f"monitor/{name}": value for name, value in (("centred_rank", 33.3), ("std", 0.5), ("knn", 0.9))}
    for name, values in said.items():
        known = found["trained"].get(name, last.get(name))
        assert known is not None, f"{name} is a name of nothing that was measured"
        for value in values:
            assert float(value) == pytest.approx(known, abs=0.6 * 10 ** -len(value.partition(".")[2])), name
    assert not {*curved} & {name for name, *_ in tabled}, "a curve has the name of a line of the table"


def test_what_it_took_and_how_to_repeat_it(tmp_path: Path) -> None:
    cost = {"seconds": 600.0, "cpu_seconds": 1190.0, "examples": 6000, "sittings": 2, "peak_bytes": 3 << 29}
    page = write_report(run_folder(tmp_path / "my run", rows=health([0, 5]), cost=cost)).read_text()
    assert "10 min, in 2 sittings" in page
    assert "<dt>examples a second</dt><dd>10</dd>" in page
    assert "1.5 GiB" in page
    folder = f"&#39;{tmp_path}/my run"
    assert f"nearfar train --config {folder}/config.yaml&#39; --out {folder}-again&#39;" in page
    memory = write_report(run_folder(tmp_path / "b", source="<ndarray in memory>")).read_text()
    assert "no command repeats it" in memory


def test_a_page_of_anything_is_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [{"step": i, **{f"train/term {j}": rng.normal() for j in range(4)}} for i in range(1, 900)]
    long = {f"setting {i}": "x" * 10_000 for i in range(20)}
    path = write_report(run_folder(tmp_path / "run", rows=rows, hyperparameters=long))
    assert path.stat().st_size < LARGEST / 2


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    page = write_report(run_folder(tmp_path / "run")).read_text()
    assert "Stopped before its end, at step 0 of 100" in page
    (tmp_path / "run" / "cost.json").write_text("{")
    write_report(tmp_path / "run")


def test_small_changes_look_small() -> None:
    assert honest_range([0.2, 0.9], share=True) == (0, 1)
    low, high = honest_range([59.7, 55.0])
    assert high - low > 0.2 * 59.7
    assert honest_range([0.0, 8.0])[0] == 0
    low, high = honest_range([-3.0, -3.0])
    assert low < -3 < high
    steps = np.arange(10_000)
    values = np.zeros(10_000)
    values[4321] = 7
    kept, seen = thinned(steps, values)
    assert len(kept) <= 600
    assert 4321 in kept
    assert (kept[0], kept[-1], seen.max()) == (0, 9999, 7)


def test_runs_of_another_field_are_refused_and_other_data_are_named(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", rows=health([0, 5]), measured=measured(0.2, 0.1, 0.3))
    text = run_folder(tmp_path / "text", method="simcse")
    with pytest.raises(RunError, match=r"is a run of text and .* one of vision"):
        write_report(run, [text])
    better = {**measured(0.4, 0.3, 0.45), "data": "photos"}
    other = run_folder(tmp_path / "other", rows=health([0, 9]), measured=better, source="photos")
    page = without_library(write_report(run, [other]).read_text())
    assert "saw other data: photos instead of embedded data; measured on photos instead of digits" in page
    assert '<td class="best">0.700</td>' in page
    assert "<td>0.900</td>" in page
    same = run_folder(tmp_path / "same", rows=health([0, 9]), measured=measured(0.4, 0.3, 0.45))
    page = without_library(write_report(run, [same]).read_text())
    assert "saw other data" not in page
    assert '<td class="best">0.900</td>' in page


class Blobs(Data):
    """Two far blobs with a pair of equal rows, an outlier and one wrong label."""

    name = "blobs"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.rows = rng.normal(size=(90, 6)) * 0.2 + np.repeat(np.eye(6)[:2] * 5, 45, axis=0)
        self.rows[1] = self.rows[0]
        self.rows[89] = -np.ones(6)
        self.labels = np.repeat(["left", "right"], 45)
        self.labels[7] = "right"
        self.texts = [f"row\n {i}" for i in range(90)]

    def __len__(self) -> int:
        return 90

    def batch(self, indices: np.ndarray) -> torch.Tensor:
        return torch.tensor(self.rows[indices], dtype=torch.float32)


class Same(torch.nn.Module):
    """A method whose vectors are the rows."""

    encoder = torch.nn.Identity()
    device = torch.device("cpu")

    def frozen(self) -> Any:
        return torch.no_grad()

    def encode(self, batch: torch.Tensor) -> torch.Tensor:
        return batch


def test_the_map_finds_neighbours_duplicates_outliers_and_wrong_labels() -> None:
    found = mapped(Same(), Blobs())
    assert found is not None
    assert found.by == "t-SNE"
    assert (found.neighbours[0, 0], found.neighbours[1, 0]) == (1, 0)
    assert found.cards.texts[3] == "row 3"
    left, right = found.places[:45], found.places[45:89]
    assert np.linalg.norm(left.mean(0) - right.mean(0)) > 2 * left.std()
    out = standing_out(found)
    assert (0, 1) in out["duplicates"]
    assert out["outliers"][0] == 89
    assert out["worst"][0] == (7, "left")
    assert ("right", "left", 2, 46) in out["confused"]
    assert out["right"] > 0.95
    fewer = mapped(Same(), Blobs(), most=20)
    assert fewer is not None
    assert (len(fewer.ids), fewer.total, fewer.by) == (20, 90, "principal components (PCA)")


def test_collapsed_vectors_are_drawn_as_they_lie_and_nothing_is_read_from_them() -> None:
    data = Blobs()
    data.rows = np.ones((90, 6)) + np.random.default_rng(0).normal(size=(90, 6)) * 1e-4
    found = mapped(Same(), data)
    assert found is not None
    assert found.collapsed
    assert "PCA" in found.by
    assert np.abs(found.places).max() < 1e-3
    assert standing_out(found)["duplicates"] == []


def test_likenesses_of_pictures_and_series() -> None:
    class Batch(NamedTuple):
        images: torch.Tensor | None = None
        series: torch.Tensor | None = None

    several = torch.full((2, 2, 3, 8, 16), 9, dtype=torch.uint8)
    assert cards_module._drawn(Batch(images=several), 2).shape == (2, 48, 48, 3)
    assert cards_module._drawn(Batch(series=torch.randn(3, 64, 2)), 3).std() > 0
    assert cards_module._drawn(Batch(), 3) is None


def test_a_page_is_written_again_while_a_run_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_folder(tmp_path / "run", rows=health([0, 5]))
    training = iter([True, True, False, False])
    monkeypatch.setattr("nearfar.runs.listing.in_use", lambda path: next(training, False))
    monkeypatch.setattr("nearfar.report.page.in_use", lambda path: True)
    assert main(["report", str(run), "--live", "0.01"]) == 0
    page = (run / "report.html").read_text()
    assert "Still training: step 5 of 100." in page
    assert 'http-equiv="refresh"' not in page  # it has ended
    assert 'http-equiv="refresh" content="30"' in write_report(run, refresh=30).read_text()
    assert main(["report", str(run), "--live", "-1"]) == 2
