"""A run that acts, killed anywhere: environments, replay, networks and returns go on to the bit."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.forked import Kill, Launched, launch

STEPS, EVERY = 24, 5


def begin_again(scratch: Path, run: Path, kill: Kill | None = None) -> Launched:
    """Resume a run where there is one, start it where the last process died before it began."""
    scratch.mkdir(parents=True, exist_ok=True)
    if (run / "config.yaml").exists():
        return launch(scratch, "resume", str(run), kill=kill)
    words = (
        "train",
        "contrastive-rl",
        "--env",
        "point-maze-u",
        "--envs",
        "4",
        "--random-steps",
        "120",
        "--loss",
        "cpc",
    )
    words += ("--steps", str(STEPS), "--batch-size", "16", "--hidden", "[16]", "--checkpoint-every", str(EVERY))
    return launch(scratch, *words, "--log-every", "1", "--seed", "3", "--out", str(run), kill=kill)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("acting")
    process = begin_again(scratch, scratch / "run")
    assert process.wait() == 0, process.said
    return scratch / "run"


def same(first: Path, second: Path) -> bool:
    a, b = load_file(first / "kept.safetensors"), load_file(second / "kept.safetensors")
    equal = a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    return equal and (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()


def test_killed_between_two_updates_and_in_writes_it_ends_with_the_same_bits(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    # The 16th update is the actor's in step 8, after the critic has moved.
    for kill in (Kill("update", 16), Kill("torn write", 3), Kill("before rename", 4), Kill("after rename", 3)):
        process = begin_again(tmp_path, run, kill)
        assert process.wait() == -signal.SIGKILL, process.said
    process = begin_again(tmp_path, run)
    assert process.wait() == 0, process.said
    assert same(whole, run)


def test_asked_to_stop_it_finishes_the_step_and_goes_on_to_the_same_end(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    process = begin_again(tmp_path, run)
    process.wait_for(lambda: len(process.steps) >= 4)
    process.send(signal.SIGTERM)
    assert process.wait() in (143, 0)
    if not (run / "kept.safetensors").exists():
        again = begin_again(tmp_path, run)
        assert again.wait() == 0, again.said
        assert again.steps[0] == process.steps[-1] + 1
    assert same(whole, run)
    assert "success" in (run / "metrics.csv").read_text().splitlines()[0]
