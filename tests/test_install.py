"""Which torch is asked for on which machine: by what pip and uv are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools import tool

ROOT = Path(__file__).parent.parent
install = tool("install")

PYTHON = Path("env/bin/python")
CUDA = ["nvidia-cublas", "triton"]


def asked(cuda: bool, unwanted: list[str], failing: str = "nothing") -> tuple[int, list[list[str]]]:
    commands: list[list[str]] = []

    def run(command: list[str]) -> int:
        commands.append(command)
        return int(failing in command)

    return install.install_torch(PYTHON, cuda=cuda, unwanted=unwanted, run=run), commands


def test_pip_where_its_choice_is_small() -> None:
    code, commands = asked(cuda=False, unwanted=[])
    assert code == 0
    assert [c[-1] for c in commands] == [install.TORCH]


def test_uv_for_the_processor_build_where_pip_would_bring_cuda(capsys) -> None:
    code, commands = asked(cuda=False, unwanted=CUDA)
    assert code == 0
    assert [c[-1] for c in commands] == ["uv", install.TORCH]
    assert "--torch-backend=cpu" in commands[1]
    assert "GB" not in capsys.readouterr().err


@pytest.mark.parametrize("failing", ["uv", "--torch-backend=cpu"])
def test_the_large_build_only_where_nothing_else_can_be_had_and_after_saying_so(failing: str, capsys) -> None:
    code, commands = asked(cuda=False, unwanted=CUDA, failing=failing)
    assert code == 0
    assert commands[-1] == [*install.pip(PYTHON), install.TORCH]
    assert "3 GB" in capsys.readouterr().err


def test_the_cuda_build_where_there_is_a_gpu(capsys) -> None:
    _, commands = asked(cuda=True, unwanted=CUDA)
    assert commands == [[*install.pip(PYTHON), install.TORCH]]
    assert "3 GB" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "fine"), [("2.13.0+cpu", True), ("2.6.0", True), ("2.5.1", False), ("3.0.0", False), ("", False)]
)
def test_a_torch_that_is_there_is_taken_when_it_is_in_range(version: str, fine: bool) -> None:
    assert install.in_range(version) is fine


def test_the_range_is_that_of_the_package() -> None:
    assert '"torch>=2.6,<3"' in (ROOT / "pyproject.toml").read_text()
