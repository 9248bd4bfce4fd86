"""NEARFAR_REHEARSAL cuts every training, whatever its command says, and nothing else."""

from __future__ import annotations

import pytest

import nearfar
from nearfar.catalogue import METHODS, find
from nearfar.cli import main
from nearfar.common.rehearsal import BATCH, STEPS, VARIABLE, cut, smallest
from nearfar.runs.run import Run
from nearfar.training import Training


def test_without_it_settings_stay_as_they_are(monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    wanted = Training(epochs=300, batch_size=4096)
    assert cut(wanted, find("simclr").tiny) == wanted
    monkeypatch.setenv(VARIABLE, "0")
    assert cut(wanted, find("simclr").tiny) == wanted


@pytest.mark.parametrize("wanted", [Training(epochs=300), Training(steps=9999, batch_size=4096)])
def test_every_method_is_cut_to_a_few_small_steps(wanted: Training, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    for entry in METHODS:
        found = cut(wanted, entry.tiny)
        assert found.epochs is None
        assert found.steps == (entry.tiny.get("steps") or STEPS) <= 20
        assert found.batch_size == (entry.tiny.get("batch_size") or BATCH) <= 64


def test_the_tiny_preset_of_every_method_is_a_few_small_steps() -> None:
    for entry in METHODS:
        found = smallest(entry.laptop, entry.tiny)
        assert (found.get("steps") or 0) <= 20, entry.slug
        assert (found.get("epochs") or 0) <= 2, entry.slug
        assert found.get("steps") or found.get("epochs"), entry.slug
        assert not (found.get("steps") and found.get("epochs")), entry.slug


def test_what_is_shorter_already_is_not_made_longer(monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    assert cut(Training(steps=1, batch_size=2), find("simclr").tiny) == Training(steps=1, batch_size=2)


def test_commands_and_python_are_cut_and_say_so(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    out = tmp_path / "run"
    assert main(["train", "slad", "--preset", "paper", "--epochs", "300", "--out", str(out)]) == 0
    assert "a rehearsal" in capsys.readouterr().err
    assert Run.open(out).config["training"]["steps"] == STEPS
    fitted = nearfar.fit("ts2vec", None, steps=5000, preset="paper")
    assert fitted.method_.global_step <= STEPS
