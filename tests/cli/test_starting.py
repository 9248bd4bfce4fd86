"""A run may begin with the weights of another, or of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from nearfar.cli import main

WORDS = ["--preset", "tiny", "--batch-size", "16", "--size", "16", "--precision", "32", "--monitor-every", "-1"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("starting") / "first"
    assert main(["train", "simclr", *WORDS, "--steps", "3", "--out", str(out)]) == 0
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "encoder.safetensors")


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return sum(float((a[n].float() - b[n].float()).square().sum()) for n in a) ** 0.5


def test_a_run_goes_on_from_a_finished_one_with_a_rate_of_its_own(first: Path, tmp_path: Path, capsys) -> None:
    out, anew = tmp_path / "on", tmp_path / "anew"
    words = [*WORDS, "--steps", "1", "--seed", "7", "--log-every", "1"]
    assert main(["train", "simclr", *words, "--from", str(first), "--out", str(out)]) == 0
    assert main(["train", "simclr", *words, "--out", str(anew)]) == 0
    assert distance(weights(out), weights(first)) < 0.2 * distance(weights(anew), weights(first))
    assert distance(weights(out), weights(first)) > 0  # a rate that had ended at 0 rises again
    assert yaml.safe_load((out / "config.yaml").read_text())["start"] == str(first.resolve())


def test_another_method_begins_with_the_encoder(first: Path, tmp_path: Path) -> None:
    out = tmp_path / "byol"
    words = ["train", "byol", *WORDS, "--hidden", "32", "--steps", "1", "--seed", "7"]
    assert main([*words, "--from", str(first), "--out", str(out)]) == 0
    file = tmp_path / "encoder.safetensors"
    save_file(weights(first), file)
    again = tmp_path / "again"
    assert main([*words, "--from", str(file), "--out", str(again)]) == 0
    assert distance(weights(out), weights(again)) == 0


def test_what_does_not_fit_is_named(first: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "half.safetensors"
    found = weights(first)
    name = next(iter(found))
    save_file({n: v for n, v in found.items() if n != name}, file)
    words = ["train", "simclr", *WORDS, "--steps", "1", "--out", str(tmp_path / "x")]
    assert main([*words, "--from", str(file)]) == 2
    assert f"{name} is missing" in capsys.readouterr().err
    assert main([*words, "--from", str(tmp_path / "nowhere")]) == 2
    assert "no run and no file" in capsys.readouterr().err
    (tmp_path / "weights.pth").write_bytes(b"x")
    assert main([*words, "--from", str(tmp_path / "weights.pth")]) == 2
    assert "other formats can hold code" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_finished_run_says_how_to_go_on(first: Path, capsys) -> None:
    assert main(["resume", str(first), "--steps", "10"]) == 2
    assert f"nearfar train simclr --from {first}" in capsys.readouterr().err
