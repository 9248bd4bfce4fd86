"""Defaults that finish: decided from the machine, the data and a budget, and said before the start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.training import Training
from nearfar.workflow import auto


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 50, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def test_a_folder_trains_within_its_budget_and_says_so_first(photos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert main(["train", "simclr", "--data", str(photos), "--budget", "0.1s", "--size", "32", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "SimCLR learns from 24 examples of photos" in said
    assert said.index("timing a few steps") < said.index("steps (") < said.index("is complete")
    assert ", because fewer steps than 20 teach nothing" in said
    assert "--preset paper would take 1,000 steps of 4096 with resnet50: about" in said
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["training"]["steps"] >= auto.LEAST_STEPS  # so that a resumed run keeps it
    assert config["hyperparameters"]["encoder"] == "small-conv"
    assert config["data"]["size"] == 32


def test_what_the_command_says_is_kept(photos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    words = ["train", "simclr", "--data", str(photos), "--steps", "2", "--batch-size", "8", "--out", str(out)]
    assert main(words) == 0
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["training"]["steps"] == 2
    assert config["training"]["batch_size"] == 8
    assert config["data"]["size"] == 64
    assert "this fits into" not in capsys.readouterr().err


def test_the_papers_length_is_a_default_of_its_preset(capsys) -> None:
    assert main(["train", "grace", "--preset", "paper", "--help"]) == 0
    assert "steps" in capsys.readouterr().out
    from nearfar.cli.options import Flags

    flags = Flags(find("simcse"), "x", "x")
    flags.use("paper")
    assert flags.parse([]).training.epochs == 1
    assert flags.parse([]).training.batch_size == 64
    settings = flags.parse(["--steps", "5"]).training
    assert (settings.steps, settings.epochs) == (5, None)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1d", 86400)])
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert auto.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "-1m", "0", "", "m", "inf", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a budget is a time such as 90s, 10m or 2h"):
        auto.seconds_of(text)


def test_steps_fit_into_the_budget_and_never_outlast_their_use() -> None:
    training = Training(batch_size=100)
    simclr = find("simclr")
    assert auto.steps_for(100, 0.85, training, 100_000, simclr) == 100
    assert auto.steps_for(1, 60, training, 100_000, simclr) == auto.LEAST_STEPS
    few = auto.steps_for(1e6, 0.01, training, 1000, simclr)
    assert few == max(auto.MOST_EPOCHS * 10, simclr.laptop["steps"])
    assert auto.steps_for(100, 0.85, training, None, simclr) == 100


def test_a_budget_without_auto_is_refused(capsys) -> None:
    assert main(["train", "simclr", "--budget", "5m"]) == 2
    assert "--budget is for --preset auto" in capsys.readouterr().err


def test_what_the_paper_would_cost_asks_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    calls = []

    def asked(*words: object, **_: object) -> None:
        calls.append(words)
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", asked)
    monkeypatch.setattr(socket, "getaddrinfo", asked)
    from huggingface_hub import constants

    from nearfar.text.data import load

    before = constants.HF_HUB_OFFLINE
    said = auto.paper_cost(find("simcse"), load(["one", "two", "three"]), 3)
    assert said == "--preset paper would take 1 steps of 64"
    assert not calls
    assert before == constants.HF_HUB_OFFLINE


def test_packages_are_hidden_for_a_while_alone() -> None:
    from lightning_utilities.core import imports

    from nearfar.cli.loading import _hidden

    with _hidden(("transformers",)):
        assert not imports.RequirementCache("transformers>=4.4.0")
        assert not imports.package_available("transformers")
        assert imports.RequirementCache("numpy>=1")
    assert imports.package_available("transformers")
    assert imports.RequirementCache("transformers>=4.4.0")


@pytest.mark.long
def test_a_command_answers_before_it_loads_pytorch_and_loads_no_measures_of_text() -> None:
    code = """if True:
        import sys
        from nearfar.cli.loading import loading
        loading("ReLIC")
        import nearfar, nearfar.vision.data, nearfar.vision.methods
        nearfar.load
        unused = {"transformers", "scipy.signal", "sklearn"} & set(sys.modules)
        assert not unused, unused
        import scipy.signal, transformers
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert done.stderr.startswith("ReLIC: loading PyTorch\n")
