"""The page of a comparison, and comparisons that were killed."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from nearfar.cli import main
from nearfar.report import write_comparison
from tests.training.forked import Kill, launch

MEANS = {
    "untrained": {"linear": (0.5, 0.48, 0.52), "std": (0.4, 0.3, 0.5)},
    "byol": {"linear": (0.6, 0.58, 0.62), "std": (0.4, 0.3, 0.5)},
    "<b>": {"linear": (0.7, 0.6, 0.8)},
}


@pytest.mark.parametrize(
    ("interval", "kind", "sentence"),
    [
        ((0.1, 0.05, 0.15), "good", "&lt;b&gt; is ahead of byol by 0.100 in linear (95% interval +0.050 to +0.150"),
        ((-0.1, -0.15, -0.05), "bad", "&lt;b&gt; is behind byol by 0.100 in linear"),
        ((0.01, -0.05, 0.07), "poor", "No difference shown between &lt;b&gt; and byol in linear: +0.010"),
    ],
)
def test_the_page_says_who_is_ahead(
    interval: tuple[float, float, float], kind: str, sentence: str, tmp_path: Path
) -> None:
    page = write_comparison(
        tmp_path / "comparison.html",
        data="digits",
        means=MEANS,
        differences={"<b>": {"linear": interval}},
        better={"linear": "higher", "std": "neither"},
        seeds=5,
        command="nearfar compare byol '<b>'",
    ).read_text()
    assert sentence in page
    assert f'data-kind="{kind}"' in page
    assert "0.600 ± 0.020" in page
    data = re.search(r'id="page-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    (chart,) = json.loads(data[1])["charts"].values()
    assert f"{interval[0]:+.4g} [{interval[1]:+.4g}, {interval[2]:+.4g}]" in json.dumps(chart)


def test_one_seed_shows_no_forest(tmp_path: Path) -> None:
    endless = (0.1, -float("inf"), float("inf"))
    page = write_comparison(
        tmp_path / "page.html", data="d", means=MEANS, differences={"<b>": {"linear": endless}}, better={}, seeds=1
    ).read_text()
    assert "tells no difference from chance" in page
    assert "Differences, paired by seed" not in page


def test_a_comparison_that_was_killed_goes_on_to_the_same_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "lightgcl", "lightgcl:temperature=0.9", "--steps", "4", "--seeds", "2", "--log-every", "1"]
    words += ["--checkpoint-every", "1", "--monitor-every", "-1"]
    killed = launch(tmp_path / "scratch", *words, "--out", str(tmp_path / "killed"), kill=Kill("step", 7))
    assert killed.wait() == -signal.SIGKILL
    assert "1 of 4" in killed.said
    first = tmp_path / "killed" / "lightgcl" / "seed-0" / "encoder.safetensors"
    stamp = first.stat().st_mtime_ns
    again = launch(tmp_path / "scratch", *words, "--json", "--out", str(tmp_path / "killed"))
    assert again.wait() == 0
    assert first.stat().st_mtime_ns == stamp
    assert "lightgcl, seed 0: kept, 1 of 4" in again.said
    assert re.search(r"done, 2 of 4, about .* left", again.said)
    assert len(again.steps) <= 4 * 4 - 6 + 1  # the step that it died in, and those that were to come
    assert (tmp_path / "killed" / "comparison.html").is_file()
    assert main([*words, "--json", "--out", str(tmp_path / "whole")]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert json.loads(again.said[again.said.index('{"data"') :].splitlines()[0]) == whole
    assert main(["runs", str(tmp_path / "killed")]) == 0
    assert capsys.readouterr().out.count("finished") == 4
