"""Listing runs, and removing them and nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.cli import main
from nearfar.runs import run as run_module
from nearfar.runs.listing import runs_in
from nearfar.runs.run import Run

HOLD = """
import sys
from pathlib import Path
from nearfar.runs.run import Run
run = Run.open(Path(sys.argv[1])); run.lock(); print("held", flush=True); sys.stdin.read()
"""


def made(folder: Path, name: str, **parts: object) -> Run:
    """A run as it lies on the disk, finished unless said otherwise."""
    path = folder / name
    path.mkdir(parents=True)
    seed = parts.get("seed", 0)
    run = Run(path)
    run.write_config({"method": parts.get("method", "grace"), "data": {"source": None}, "training": {"seed": seed}})
    run.write_text("metrics.csv", "step,train/loss\n1,0.5\n7,0.25\n")
    if parts.get("finished", True):
        (path / "encoder.safetensors").write_bytes(b"x" * 2048)
    if "score" in parts:
        run.write_json("evaluation.json", {"trained": {"linear test": parts["score"]}})
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made(tmp_path, "a", score=0.5)
    made(tmp_path, "deep/b", score=0.9, seed=1)
    made(tmp_path, "c", method="simclr", finished=False)
    made(tmp_path, "d").write_text("config.yaml", "method: [1]\n")
    return tmp_path


def test_runs_are_found_with_their_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {run.path.name: run for run in runs_in(folder)}
    assert {name: run.state for name, run in found.items()} == {
        "a": "finished", "b": "finished", "c": "stopped", "d": "damaged",
    }  # fmt: skip
    assert (found["a"].step, found["b"].seed, found["b"].scores) == (7, 1, {"linear test": 0.9})
    assert found["a"].size > 2048
    assert main(["runs", str(folder), "--sort", "linear test", "--state", "finished", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["b", "a"]
    assert main(["runs", str(folder), "--method", "simclr"]) == 0
    said = capsys.readouterr().out
    assert "stopped" in said
    assert "grace" not in said


def test_a_run_that_is_held_is_running_and_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [sys.executable, "-c", HOLD, str(folder / "c")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert {run.state for run in runs_in(folder) if run.path.name == "c"} == {"running"}
        assert main(["runs", "remove", str(folder / "c"), "--yes"]) != 0
        assert "is in use by a process that trains in it" in capsys.readouterr().err
        assert (folder / "c" / "config.yaml").is_file()
        other.communicate("")
    assert {run.state for run in runs_in(folder) if run.path.name == "c"} == {"stopped"}


def test_only_what_is_the_runs_is_removed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = folder / "a" / "notes.txt"
    note.write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep").write_text("mine")
    (folder / "deep" / "b" / "checkpoints").symlink_to(elsewhere)
    names = [str(folder / "a"), str(folder / "deep" / "b")]
    assert main(["runs", "remove", *names]) == 0
    assert "nothing was removed; give --yes" in capsys.readouterr().err
    assert len(runs_in(folder)) == 4
    assert main(["runs", "remove", *names, "--yes"]) == 0
    assert "left, because it is not the run's: notes.txt" in capsys.readouterr().out
    assert note.read_text() == (elsewhere / "keep").read_text() == "mine"
    assert [run.path.name for run in runs_in(folder)] == ["c", "d"]
    assert [p.name for p in (folder / "a").iterdir()] == ["notes.txt"]
    (folder / "link").symlink_to(folder / "c")
    assert main(["runs", "remove", str(folder / "link"), "--yes"]) != 0
    assert main(["runs", "remove", str(folder / "c"), str(elsewhere), "--yes"]) != 0
    assert (folder / "c" / "config.yaml").is_file()  # one of the two was no run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs", "{}/nowhere"], "there is no folder"),
        (["runs", "{}", "--method", "byol"], "has no run of 'byol'; it has runs of"),
        (["runs", "{}", "--sort", "beauty"], "no run has the score 'beauty'; measured are linear test"),
        (["runs", "remove", "{}/nowhere"], "is not a run folder"),
    ],
)
def test_what_is_not_there_is_named(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(folder) for word in words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("said", "left"), [("y\n", 3), ("\n", 4)])
def test_a_terminal_is_asked_before_runs_are_removed(
    said: str, left: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(said))
    assert main(["runs", "remove", str(folder / "a")]) == 0
    assert "remove these? [y/N]" in capsys.readouterr().out
    assert len(runs_in(folder)) == left


def test_a_configuration_is_parsed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path, "one", seed=3)
    parsed: list[Path] = []
    read = run_module.read_settings
    monkeypatch.setattr(run_module, "read_settings", lambda path: parsed.append(path) or read(path))
    run.config["training"]["seed"] = 9
    assert run.config["training"] == {"seed": 3}, "what one caller changes is its own"
    assert len(parsed) == 1
    run.write_config({**run.config, "training": {"seed": 4}})
    assert run.config["training"] == {"seed": 4}
    assert len(parsed) == 2
