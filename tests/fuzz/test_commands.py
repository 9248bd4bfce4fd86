"""The command line given words in any order: an exit code, and one sentence where it is not 0."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar import workflow
from nearfar.catalogue import METHODS
from nearfar.cli import COMMANDS, main

FLAGS = [
    *("--help", "-h", "--json", "--version", "--data", "--out", "--seed", "--steps", "--epochs", "--batch-size"),
    *("--batch_size=auto", "--temperature", "--optimization.lr", "--optimization.optimizer", "--encoder", "--workers"),
    *("--preset", "--config", "--resume", "--accept-changes", "--field", "--seeds", "--no-such", "--precision", "-o"),
    *("--non-finite", "--max-skipped", "--strict", "--size", "--all", "--", "-"),
]
VALUES = [
    *("0", "1", "-1", "1e9", "nan", "inf", "auto", "none", "null", "true", "", " ", "a b", "é", "[1,", "{", "}", "!!x"),
    *("no/such/place", "runs", "paper", "laptop", "vision", "bf16", "skip", "resnet18", "1.5", "0x10", "--"),
]
SLUGS = [system.slug for system in METHODS]
WORDS = st.one_of(st.sampled_from(FLAGS), st.sampled_from(VALUES), st.sampled_from(SLUGS), st.text(max_size=6))


class Reached(ValueError):
    """The words were understood; what they ask for is not done here."""


@pytest.fixture
def nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Reached("understood")

    for name in ("train", "resume_run", "evaluate_run", "embed_with_run", "compare"):
        monkeypatch.setattr(workflow, name, stop)
    monkeypatch.setattr("nearfar.reproductions.harness.reproduce", stop, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("nothing_is_done")
@given(
    command=st.sampled_from([*COMMANDS, "frain", ""]),
    words=st.lists(WORDS, max_size=5),
    with_method=st.booleans(),
    slug=st.sampled_from(SLUGS),
)
def test_any_words_end_in_a_code_and_a_sentence(
    command: str, words: list[str], with_method: bool, slug: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "reproduce":
        words = [w for w in words if w not in SLUGS and w != "--all"]
        with_method = False
    code = main([command, *([slug] if with_method else []), *words])
    said = capsys.readouterr()
    assert code in (0, 2), (code, said.err)
    assert "Traceback" not in said.err
    if code:
        assert said.err.strip()
