"""Reading ``metrics.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

UNTRAINED = "untrained.csv"
"""What was measured before the first step, beside ``metrics.csv``, whose rows are steps with a loss."""


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``, after that of step 0 where there is one; a torn last row is left out."""
    return _rows(path.with_name(UNTRAINED)) + _rows(path)


def _rows(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    rows = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({k: float(v) for k, v in row.items() if k and v not in ("", None)})
            except (TypeError, ValueError):
                continue
    return rows
