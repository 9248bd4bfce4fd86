"""Commands of one name in several fields: a run among the words, or --field, tells which is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfar.cli.fields import Claims, choose
from nearfar.runs.run import Run
from nearfar.system import Command, UsageError


@pytest.fixture
def called() -> list[tuple[str, list[str]]]:
    return []


@pytest.fixture
def claims(called: list[tuple[str, list[str]]]) -> Claims:
    def command(field: str) -> Command:
        def run(words: object) -> int:
            called.append((field, list(words)))  # type: ignore[call-overload]
            return 0

        return Command(f"look among {field}", run)

    return [("text", command("text")), ("multimodal", command("multimodal"))]


def test_the_field_of_a_run_or_a_system_is_meant(claims: Claims, called: list, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "clip"})
    run.unlock()
    assert choose("search", claims, ["--top", "3", str(run.path), "a circle"]) == 0
    assert choose("search", claims, ["simcse", "a circle"]) == 0
    assert choose("search", claims, ["folder", "--field", "multimodal"]) == 0
    assert [field for field, _ in called] == ["multimodal", "text", "multimodal"]
    assert called[2][1] == ["folder"]


def test_nothing_tells(claims: Claims, called: list, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="fields text, multimodal; give --field"):
        choose("search", claims, ["folder"])
    with pytest.raises(UsageError, match="the field 'graph' has none"):
        choose("search", claims, ["folder", "--field=graph"])
    assert choose("search", claims, ["--help"]) == 0
    said = capsys.readouterr().out
    assert "look among text" in said
    assert "look among multimodal" in said
    assert not called
