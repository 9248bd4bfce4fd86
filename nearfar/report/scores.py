"""The tables of a page: every measure with the run beside its untrained self, and other runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nearfar.evaluation import GEOMETRY

ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}


def score_table(
    measured: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]], apart: Sequence[str] = ()
) -> dict[str, Any]:
    """What was measured, a line for each number. Runs that are named ``apart`` saw other data and never are the best.

    Returns:
        ``columns``: names of the runs. ``lines``: each with ``name``, ``arrow``, ``cells`` of ``text`` and ``best``,
        and ``ahead``: the difference to untrained with the ends of its interval as places on a common scale in percent.
    """
    columns = {"untrained": measured.get("untrained", {}), "this run": measured["trained"]}
    columns |= {name: other["trained"] for name, other in others.items()}
    better, ahead = measured.get("better", {}), measured.get("ahead") or {}
    reach = max([abs(each[end]) for each in ahead.values() for end in ("low", "high")] + [1e-9])
    lines = []
    for name in dict.fromkeys(n for column in columns.values() for n in column):
        direction = better.get(name, "neither" if name in GEOMETRY else "higher")
        values = {
            run: column[name] for run, column in columns.items() if run not in apart and _number(column.get(name))
        }
        best = None
        if direction != "neither" and values:
            best = (max if direction == "higher" else min)(values.values())
        cells = [
            {"text": _text(column.get(name)), "best": run in values and values[run] == best}
            for run, column in columns.items()
        ]
        lines.append({"name": name, "arrow": ARROWS[direction], "cells": cells, "ahead": _bar(ahead.get(name), reach)})
    return {"columns": [*columns], "lines": lines, "intervals": bool(ahead)}


def _bar(each: Mapping[str, Any] | None, reach: float) -> dict[str, Any] | None:
    if each is None:
        return None
    place = {end: 50 + 50 * min(max(each[end] / reach, -1), 1) for end in ("low", "mean", "high")}
    sure = "good" if each["low"] > 0 else "bad" if each["high"] < 0 else "poor"
    said = f"{each['mean']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}]"
    return {**place, "kind": sure, "text": said, "examples": f"{each['examples']:,}"}


def further_tables(measured: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One table for each further measure: a line for each number, a column for each run that measured it."""
    tables = []
    for title, found in measured.get("further", {}).items():
        columns = {"untrained": found["untrained"], "this run": found["trained"]}
        for name, other in others.items():
            if title in other.get("further", {}):
                columns[name] = other["further"][title]["trained"]
        names = dict.fromkeys(name for column in columns.values() for name in column)
        lines = [{"name": n, "cells": [{"text": _text(c.get(n))} for c in columns.values()]} for n in names]
        tables.append({"title": title, "columns": [*columns], "lines": lines})
    return tables


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _text(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, int | float) else str(value)


def titled(measured: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """Other runs' measurements under names that differ and are not the columns' own."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, content in measured:
        title, number = name, 2
        while title in found or title in ("untrained", "this run"):
            title, number = f"{name} ({number})", number + 1
        found[title] = content
    return found
