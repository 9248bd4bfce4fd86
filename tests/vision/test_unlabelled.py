"""An answer for pictures without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nearfar.cli import main
from nearfar.evaluation.answer import answer_without_labels
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import SimCLR
from nearfar.vision.pictures import pictures
from nearfar.vision.unlabelled import found_again


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(24):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((32, 32)).save(folder / f"{i}.png")
    return folder


def test_a_view_is_found_where_it_alone_is_nearest() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 30, 4))
    slow = 0
    for i, a in enumerate(first):
        near = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in second]
        slow += near[i] > max(v for j, v in enumerate(near) if j != i)
    assert found_again(first, second) == slow / 30
    assert found_again(first, 3 * first) == 1.0
    assert found_again(np.ones((5, 2)), np.ones((5, 2))) == 0.0  # collapsed


def test_pictures_without_labels_are_judged_by_their_views(photos: Path) -> None:
    data = load(str(photos), size=16)
    torch.manual_seed(0)
    method = SimCLR("small-conv").eval()
    state = torch.random.get_rng_state()
    found, again = evaluate(method, data), evaluate(method, data)
    assert torch.equal(state, torch.random.get_rng_state())
    assert dict(found) == dict(again)
    assert found["pictures"] == 24
    assert 0 <= found["view retrieval"] <= 1
    assert 1 <= found["lidar"] <= 23
    assert found.better["view retrieval"] == found.better["lidar"] == "higher"
    assert "rankme" not in found.better or found.better["rankme"] == "neither"
    method.encoder.forward = lambda x: torch.ones(len(x), 4)  # type: ignore[method-assign]
    assert evaluate(method, data)["view retrieval"] == 0
    assert len(pictures(method, data)) == 2  # views, and neighbours though nothing is held out


def test_labelled_pictures_are_judged_by_their_labels() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    found = evaluate(SimCLR("small-conv").eval(), load((images, np.arange(40) % 2)))
    assert "lidar" not in found
    assert 0 < found["alignment"] < found["separation"] < 4  # noise is told from other noise, untrained too
    assert found.better["alignment"] == found.better["separation"] == "neither"


@pytest.mark.parametrize(
    ("trained", "untrained", "verdict"),
    [
        ((0.9, 40.0), (0.4, 10.0), "yes"),
        ((0.42, 40.0), (0.4, 10.0), "cannot be told"),
        ((0.9, 5.0), (0.4, 10.0), "cannot be told"),
        ((0.4, 5.0), (0.4, 10.0), "no"),
        ((0.1, 40.0), (0.4, 10.0), "no"),
    ],
)
def test_the_answer_is_yes_no_or_neither(
    trained: tuple[float, float], untrained: tuple[float, float], verdict: str
) -> None:
    scores = [{"view retrieval": r, "lidar": w, "pictures": 256.0} for r, w in (trained, untrained)]
    assert f"without labels: {verdict}." in answer_without_labels(*scores)
    assert answer_without_labels({"linear test": 0.5}, scores[1]) == ""


def test_evaluate_answers_in_words(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    small = ["--encoder", "small-conv", "--size", "16", "--steps", "1", "--batch-size", "8", "--preset", "laptop"]
    assert main(["train", "simclr", "--data", str(photos), "--out", run, *small]) == 0
    capsys.readouterr()
    assert main(["evaluate", run]) == 0
    assert "Better than untrained, without labels: " in capsys.readouterr().out
    assert main(["report", run]) == 0
    assert "Better than untrained, without labels: " in (tmp_path / "run" / "report.html").read_text()
