"""The commands discover and data counts, through the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearfar.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("discover") / "run"
    words = ["train", "gcd", "--out", str(out), "--steps", "8", "--batch-size", "32", "--size", "8", "--preset", "tiny"]
    assert main(words) == 0
    return out


def test_discover_writes_a_table_and_a_page(run: Path, tmp_path: Path) -> None:
    table, page = tmp_path / "groups.csv", tmp_path / "groups.html"
    assert main(["discover", str(run), "-o", str(table), "--page", str(page)]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 1297
    groups = {row["group"] for row in rows}
    assert {"0", "5", "new 1", "new 4"} <= groups
    assert {row["new"] for row in rows if row["group"].startswith("new")} == {"1"}
    text = page.read_text()
    assert "new 1" in text
    assert "data:image/png" in text
    assert main(["discover", str(run), "-o", str(table)]) == 2, "nothing is overwritten"


def test_discover_groups_other_pictures(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    table = tmp_path / "groups.csv"
    assert main(["discover", str(run), str(folder), "-o", str(table)]) == 0
    assert [row["path"] for row in csv.DictReader(table.read_text().splitlines())] == ["0.png", "1.png", "2.png"]


def test_discover_refuses_other_runs_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "supcon"
    words = ["train", "supcon", "--out", str(out), "--steps", "2", "--batch-size", "16", "--size", "8"]
    assert main([*words, "--preset", "tiny"]) == 0
    capsys.readouterr()
    assert main(["discover", str(out), "-o", str(tmp_path / "g.csv")]) == 2
    assert "which does not discover classes; gcd and protogcd do" in capsys.readouterr().err
    assert main(["discover", str(out), "-o", str(tmp_path / "g.txt")]) == 2


def test_counts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "counts", "long-tailed-digits"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["128", "0"]
    assert main(["data", "counts", "digit-tasks"]) == 0
    assert "task 5" in capsys.readouterr().out
