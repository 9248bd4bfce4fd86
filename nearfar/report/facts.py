"""What a run took, and what repeats it."""

from __future__ import annotations

import json
import re
import shlex
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearfar.common.durations import in_time
from nearfar.runs.run import Run, RunError
from nearfar.runs.settings import flatten

LONGEST = 300
"""Characters of a setting that are shown."""


def examples(run: Run) -> int | None:
    """How many examples the run's data have, from its ``data.txt``."""
    try:
        found = re.search(r"([\d,]+) (?:examples|with)", (run.path / "data.txt").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return int(found[1].replace(",", "")) if found else None


def cost(run: Run) -> dict[str, str]:
    """What training took, in words, by what it was."""
    try:
        kept = run.read_json("cost.json")
    except RunError:
        kept = None
    found: dict[str, str] = {}
    if isinstance(kept, Mapping) and all(isinstance(value, int | float) for value in kept.values()):
        seconds = kept.get("seconds", 0)
        sittings = int(kept.get("sittings", 1))
        found["training time"] = in_time(seconds) + (f", in {sittings} sittings" if sittings > 1 else "")
        if kept.get("cpu_seconds"):
            found["processor time"] = in_time(kept["cpu_seconds"])
        if kept.get("examples"):
            found["examples seen"] = f"{int(kept['examples']):,}"
            found["examples a second"] = f"{kept['examples'] / max(seconds, 1e-9):,.0f}"
        if kept.get("peak_bytes"):
            found["most memory"] = _size(kept["peak_bytes"])
        if kept.get("device_bytes"):
            found["most memory of the GPU"] = _size(kept["device_bytes"])
    for path in (run.kept_path, run.encoder_path):
        weights = _weights(path)
        if weights:
            found["weights kept"] = f"{weights:,} ({_size(path.stat().st_size)})"
            break
    environment = run.config.get("environment", {})
    for name in ("device", "threads", "processes"):
        if name in environment:
            found[name] = str(environment[name])[:LONGEST]
    return found


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _weights(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header; 0 where it cannot be read."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 16 << 20:
                return 0
            header = json.loads(file.read(length))
        count = 0
        for name, entry in header.items():
            size = 1
            for side in entry["shape"] if name != "__metadata__" else [0]:
                size *= side
            count += size
        return count
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return 0


def repeat_command(run: Run) -> str:
    """What to type to train the same again; empty where the data were in the memory of another process."""
    if str(run.config.get("data", {}).get("source")).startswith("<"):
        return ""
    again = run.path.with_name(f"{run.path.resolve().name}-again")
    return f"nearfar train --config {shlex.quote(str(run.config_path))} --out {shlex.quote(str(again))}"


def settings(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The parts of a configuration with their settings as text, nested names with dots."""
    parts = ("hyperparameters", "data", "training", "environment")
    return {part: {k[:LONGEST]: str(v)[:LONGEST] for k, v in flatten(config.get(part, {})).items()} for part in parts}
