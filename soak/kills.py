"""SIGKILL at fifty moments drawn at random, by the clock and at the places a clock cannot hit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.training.kills import kill_runs, uninterrupted


def measure(scratch: Path) -> dict[str, Any]:
    return kill_runs(scratch, uninterrupted(scratch / "whole"), 50, seed=2026)
