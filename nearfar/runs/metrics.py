"""Reading ``metrics.csv``."""

from __future__ import annotations

import csv
from pathlib import Path


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``; a torn last row is left out."""
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
