"""The page of a comparison: who is ahead, by how much, how sure, as a forest of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearfar.common.files import atomic_write
from nearfar.report import charts
from nearfar.report.filling import filled
from nearfar.system import Better

MOST = 40
"""Rows of a forest."""

Interval = tuple[float, float, float]


def write_comparison(
    path: Path,
    *,
    data: str,
    means: Mapping[str, Mapping[str, Interval]],
    differences: Mapping[str, Mapping[str, Interval]],
    better: Mapping[str, Better],
    seeds: int,
    command: str = "",
) -> Path:
    """Write a comparison as one HTML file that loads nothing.

    Args:
        path: of the file.
        data: what was measured on.
        means: by arm and measure, the mean over seeds with its interval.
        differences: by arm but the first, how far it is ahead of the first, paired by seed; positive is better.
        better: the direction of each measure.
        seeds: how many.
        command: what to type to go on with it.
    """
    arms = [arm for arm in means if arm != "untrained"]
    drawn: dict[str, dict[str, Any]] = {}
    for arm, found in differences.items():
        rows = [(name, *interval) for name, interval in found.items()][:MOST]
        if seeds > 1 and rows:
            title = f"{arm} against {arms[0]}"
            drawn[f"forest-{len(drawn)}"] = {
                "title": title,
                "item": charts.forest(rows, label=f"ahead of {arms[0]}"[:60]),
            }
    measures = [*dict.fromkeys(name for found in means.values() for name in found)]
    arrows = {"higher": "↑", "lower": "↓", "neither": ""}
    lines = [
        {
            "name": name,
            "arrow": arrows[better.get(name, "higher")],
            "cells": [_cell(found.get(name), seeds) for found in means.values()],
        }
        for name in measures
    ]
    text = filled(
        "comparison.html",
        {
            "title": f"{', '.join(arms)} on {data}"[:200],
            "seeds": seeds,
            "answers": [_answer(arm, arms[0], found, seeds) for arm, found in differences.items()],
            "columns": [*means],
            "lines": lines,
            "command": command,
        },
        drawn,
    )
    with atomic_write(path, "w") as file:
        file.write(text)
    return path


def _cell(interval: Interval | None, seeds: int) -> str:
    if interval is None:
        return "–"
    half = (interval[2] - interval[1]) / 2
    return f"{interval[0]:.3f}" if seeds == 1 or not math.isfinite(half) else f"{interval[0]:.3f} ± {half:.3f}"


def _answer(arm: str, first: str, found: Mapping[str, Interval], seeds: int) -> dict[str, Any]:
    """Who is ahead in the first measure, in a sentence."""
    name, (mean, low, high) = next(iter(found.items()))
    if seeds == 1:
        said = f"{arm} is {mean:+.3f} from {first} in {name} with one seed, which tells no difference from chance."
        return {"kind": "open", "title": "One seed", "sentence": said, "then": ["--seeds 3 adds two."]}
    sure = f"(95% interval {low:+.3f} to {high:+.3f}, {seeds} paired seeds)"
    more = [n for n, each in found.items() if n != name and (each[1] > 0 or each[2] < 0)]
    then = [f"Also beyond chance: {', '.join(f'{n} {found[n][0]:+.3f}' for n in more[:6])}."] if more else []
    if low > 0 or high < 0:
        ahead = "ahead of" if low > 0 else "behind"
        said = f"{arm} is {ahead} {first} by {abs(mean):.3f} in {name} {sure}."
        return {"kind": "good" if low > 0 else "bad", "title": ahead.capitalize(), "sentence": said, "then": then}
    said = f"No difference shown between {arm} and {first} in {name}: {mean:+.3f} {sure}."
    return {"kind": "poor", "title": "No difference shown", "sentence": said, "then": then}
