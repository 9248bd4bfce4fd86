"""Runs that are killed, torn, filled up or asked to stop: what was saved stays valid, and resuming is exact."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import torch

from nearfar.runs.checkpoints import checkpoint_path
from nearfar.training import CheckpointError, SafeCheckpointIO, latest_checkpoint
from tests.training.forked import Kill, launch
from tests.training.kills import (
    EVERY,
    STEPS,
    begin_again,
    chain,
    kill_runs,
    on_two_ranks,
    same_weights,
    words,
)


def test_sigkill_at_random_moments_costs_an_interval_at_most(tmp_path: Path, whole: Path) -> None:
    found = kill_runs(tmp_path, whole, 3, seed=1, per_run=3)
    assert found["kills"] == 3
    assert found["runs_equal_to_the_bit"] == found["runs"]
    assert 0 <= found["most_steps_lost"] <= EVERY


def test_sigkill_at_the_worst_places(tmp_path: Path, whole: Path) -> None:
    places = [Kill("torn write", 6), Kill("before rename", 8), Kill("after rename", 5), Kill("monitor", 2)]
    run, killed = chain(tmp_path, places)
    assert [k.where for k in killed] == [k.place for k in places]
    assert all(0 <= k.lost <= EVERY for k in killed), killed
    assert same_weights(whole, run)
    assert not list(run.rglob("*.part"))


def test_sigkill_while_the_encoder_is_written(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "encoder.safetensors").unlink()
    assert begin_again(tmp_path, run, Kill("torn write", 1)).wait() == -signal.SIGKILL
    assert not (run / "encoder.safetensors").exists()
    assert begin_again(tmp_path, run).wait() == 0
    assert same_weights(whole, run)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 75)], ids=lambda x: str(x)
)
def test_a_signal_finishes_the_step_saves_it_and_says_so(
    number: signal.Signals, code: int, tmp_path: Path, whole: Path
) -> None:
    # A checkpoint is due only at the end, so what is there afterwards was saved because of the signal.
    process = launch(tmp_path, *words(tmp_path, every=STEPS), "--out", str(tmp_path / "run"))
    process.wait_for(lambda: len(process.steps) >= 5)
    process.send(number)
    assert process.wait() == code
    done = process.steps[-1]
    assert f"after step {done}, which is saved" in process.said
    assert f"nearfar resume {tmp_path / 'run'}" in process.said
    assert "Traceback" not in process.said
    assert latest_checkpoint(tmp_path / "run" / "checkpoints") == checkpoint_path(
        tmp_path / "run" / "checkpoints", done
    )
    again = begin_again(tmp_path, tmp_path / "run")
    assert again.wait() == 0, again.said
    assert again.steps[0] == done + 1
    assert same_weights(whole, tmp_path / "run")


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    process = launch(tmp_path, *words(tmp_path), "--out", str(tmp_path / "run"), prepare=slow_steps)
    process.wait_for(lambda: "slow step" in process.said)
    process.send(signal.SIGINT)
    process.wait_for(lambda: "Ctrl-C again" in process.said)
    process.process.join(0.6)  # sooner, it would count as the same press
    process.send(signal.SIGINT)
    assert process.wait(20) == 130
    assert not process.steps


def slow_steps() -> None:
    """Makes the first step take a minute."""
    import threading

    from nearfar.training import Method

    def step(self: Method, batch: object, index: int) -> None:
        print("slow step", flush=True)
        for _ in range(60_000):
            threading.Event().wait(0.001)

    Method.training_step = step  # type: ignore[assignment, method-assign]


@pytest.mark.ranks
def test_when_one_of_two_ranks_dies_the_other_ends_and_both_resume(tmp_path: Path) -> None:
    command = words(tmp_path, steps=10)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for process in on_two_ranks(tmp_path / "a", *command, "--out", str(whole)):
        assert process.wait() == 0, process.said
    first, second = on_two_ranks(tmp_path / "b", *command, "--out", str(cut), kill=Kill("backward", 8))
    assert second.wait() == -signal.SIGKILL
    assert first.wait(60) not in (0, -signal.SIGKILL), first.said  # gloo notices a closed connection at once
    assert latest_checkpoint(cut / "checkpoints") == checkpoint_path(cut / "checkpoints", 6)
    # Asked by a signal to either of them, both stop after the same step.
    first, second = on_two_ranks(tmp_path / "c", "resume", str(cut))
    second.wait_for(lambda: bool(second.steps))
    second.send(signal.SIGTERM)
    codes = first.wait(), second.wait()
    assert codes in ((143, 143), (0, 0)), first.said + second.said  # it may have been over already
    assert first.steps == second.steps
    if codes == (143, 143):
        for process in on_two_ranks(tmp_path / "d", "resume", str(cut)):
            assert process.wait() == 0, process.said
    assert same_weights(whole, cut)


def saved(folder: Path, *steps: int) -> None:
    for step in steps:
        SafeCheckpointIO().save_checkpoint({"step": step, "w": torch.ones(3)}, checkpoint_path(folder, step))


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip a bit", "no checksum"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, damage: str) -> None:
    saved(tmp_path, 10, 20)
    newest = checkpoint_path(tmp_path, 20)
    content = bytearray(newest.read_bytes())
    if damage == "truncate":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        newest.write_bytes(b"")
    elif damage == "flip a bit":
        content[len(content) // 2] ^= 4
        newest.write_bytes(content)
    else:
        newest.with_name(newest.name + ".sha256").unlink()
    with pytest.warns(UserWarning, match=r"step-000000020.*step-000000010"):
        assert latest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 10)
    with pytest.raises(CheckpointError):
        SafeCheckpointIO().load_checkpoint(newest)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_checkpoint_never_executes_code(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    SafeCheckpointIO().save_checkpoint({"bomb": Bomb(target)}, checkpoint_path(tmp_path, 1))
    with pytest.raises(CheckpointError, match="refused"):
        SafeCheckpointIO().load_checkpoint(checkpoint_path(tmp_path, 1))
    assert not target.exists()
