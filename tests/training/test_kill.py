"""A run killed with SIGKILL at any moment and resumed ends with the weights of the uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nearfar.training import CheckpointError, SafeCheckpointIO, latest_checkpoint
from nearfar.training.checkpoint import checkpoint_path

WORDS = [
    *("train", "simclr", "--seed", "5", "--steps", "40", "--batch-size", "32", "--size", "16"),
    *("--checkpoint-every", "3", "--log-every", "1", "--projection-hidden", "32", "--workers", "0"),
]


def start(*words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nearfar", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def kill_when(process: subprocess.Popen[bytes], folder: Path, files: int, delay: float) -> None:
    """Send SIGKILL ``delay`` seconds after ``files`` checkpoint files exist, wherever the run is then."""
    waiting = threading.Event()
    while process.poll() is None and len(list(folder.glob("checkpoints/*.ckpt"))) < files:
        waiting.wait(0.005)
    waiting.wait(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def test_sigkill_at_random_moments_costs_nothing(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finish(start(*WORDS, "--out", str(whole)))
    chance = random.Random(0)
    process = start(*WORDS, "--out", str(cut))
    for files in (1, 2):
        kill_when(process, cut, files, chance.random() * 0.1)
        if (cut / "encoder.safetensors").exists():
            break
        process = start("resume", str(cut))
    if process.poll() is None:
        finish(process)
    first, second = load_file(whole / "encoder.safetensors"), load_file(cut / "encoder.safetensors")
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    assert (whole / "metrics.csv").read_text() == (cut / "metrics.csv").read_text()


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
