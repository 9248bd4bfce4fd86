"""What is seen of a run: on a narrow terminal, in a log, and in the middle of a step that takes long."""

from __future__ import annotations

import io
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from nearfar.training import progress as module
from nearfar.training.progress import Progress


class Terminal(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


def trainer(step: int, total: int = 600) -> Any:
    metrics = {f"train/{name}": 9.261 for name in ("loss", "contrastive", "invariance", "entropy", "temperature")}
    return SimpleNamespace(
        is_global_zero=True, global_step=step, max_steps=total, accumulate_grad_batches=1, callback_metrics=metrics,
        callbacks=[], train_dataloader=None, lightning_module=None,
    )  # fmt: skip


def shown(stream: io.StringIO) -> str:
    """What the last drawing of a line looks like."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()][-1]


@pytest.mark.parametrize("width", [48, 80, 110, 120])
def test_count_and_remaining_time_stay_on_a_narrow_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    seen = Progress(256, stream=stream)
    seen.on_train_start(trainer(0), None)  # type: ignore[arg-type]
    seen._since = (time.perf_counter() - 100, 0)
    for step in (1, 2, 60):
        seen._shown = 0.0
        seen.on_train_batch_end(trainer(step), None, None, None, step - 1)  # type: ignore[arg-type]
    seen.on_train_end()
    line = shown(stream)
    assert len(line) <= width
    assert "60/600" in line
    assert re.search(r"15 min left", line)
    assert ("loss 9.261" in line) == (width >= 80)


def test_a_log_has_a_line_soon_and_often_in_the_middle_of_a_step_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.FIRST < 10
    assert module.AGAIN < 60
    monkeypatch.setattr(module, "FIRST", 0.02)
    monkeypatch.setattr(module, "AGAIN", 0.05)
    stream = io.StringIO()
    seen = Progress(256, stream=stream)
    seen.on_train_start(trainer(0), None)  # type: ignore[arg-type]
    until(lambda: "step 0/600 done, the next is being made" in stream.getvalue())
    seen.on_train_batch_end(trainer(1), None, None, None, 0)  # type: ignore[arg-type]
    until(lambda: "step 1/600 done, the next is being made; about" in stream.getvalue())
    seen.on_train_end()
    said = stream.getvalue()
    time.sleep(0.1)
    assert stream.getvalue() == said  # nobody speaks after the end


def test_a_log_of_short_steps_has_a_line_for_each_tenth_and_when_the_clock_asks() -> None:
    stream = io.StringIO()
    seen = Progress(256, stream=stream)
    seen.on_train_start(trainer(0), None)  # type: ignore[arg-type]
    for step in range(1, 121):
        if step == 7:
            assert seen._quiet is not None
            seen._quiet._last -= module.FIRST
        seen.on_train_batch_end(trainer(step), None, None, None, step - 1)  # type: ignore[arg-type]
    seen.on_exception()
    begins = [line.split("  ")[0] for line in stream.getvalue().splitlines()]
    assert begins == ["step 7/600", "step 60/600", "step 120/600"]


def until(happened: Any) -> None:
    for _ in range(500):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")
